"""German."""

from __future__ import annotations

from mineru_pipeline.quality.corpus.languages.lexicon import Language, entries, forms, lines, nouns, pairs

GERMAN = Language(
    code="de",
    nouns=nouns("""
        f|die * Brücke|die Brücke, m|der * Bericht|den Bericht, m|der * Hafen|den Hafen, f|die * Pumpe|die Pumpe,
        n|das * Büro|das Büro, f|die * Erhebung|die Erhebung, m|der * Vertrag|den Vertrag, n|das * Tal|das Tal,
        f|die * Turbine|die Turbine, n|das * Archiv|das Archiv, m|der * Ausschuss|den Ausschuss,
        m|der * Obstgarten|den Obstgarten, m|der * Messfühler|den Messfühler, n|das * Lagerhaus|das Lagerhaus,
        m|der * Haushalt|den Haushalt, f|die * Bücherei|die Bücherei, f|die * Fähre|die Fähre,
        m|der * Filter|den Filter, f|die * Werkstatt|die Werkstatt, n|das * Staubecken|das Staubecken,
        m|der * Fahrplan|den Fahrplan, m|der * Bezirk|den Bezirk, f|die * Rechnung|die Rechnung,
        n|das * Labor|das Labor, f|die * Straßenbahn|die Straßenbahn, n|das * Fundament|das Fundament,
        m|der * Leuchtturm|den Leuchtturm, m|der * Zähler|den Zähler, m|der * Gemeinderat|den Gemeinderat,
        n|das * Gewächshaus|das Gewächshaus, m|der * Steinbruch|den Steinbruch, n|das * Verzeichnis|das Verzeichnis,
        n|das * Krankenhaus|das Krankenhaus, f|die * Prüfung|die Prüfung, m|der * Fußweg|den Fußweg,
        m|der * Heizkessel|den Heizkessel, f|die * Küche|die Küche, f|die * Verordnung|die Verordnung,
        f|die * Genossenschaft|die Genossenschaft, n|das * Wasserwerk|das Wasserwerk"""),
    adjectives=forms("""alte, neue, nördliche, südliche, vorläufige, städtische, ruhige, schmale, amtliche,
        sparsame, endgültige, beschädigte, gestrichene, frühere, zentrale, schwierige, öffentliche, zuverlässige,
        bescheidene, obere, kupferne, zweite, geänderte, private"""),
    verbs=entries("""ersetzte, prüfte, beschrieb, belieferte, verzögerte, überwachte, bezahlte, erneuerte,
        veränderte, bestätigte, umgab, ordnete, übertraf, steuerte, querte, genehmigte, schützte, begleitete,
        verband, versorgte, erhielt, vereinfachte, förderte, betraf, entlastete, ergänzte"""),
    openers=lines("""
        Am {date}
        Im Jahr {year}
        Nach Angaben von {person}
        Nach {n} Wochen
        In der Nähe von {place}
        In den ersten {n} Monaten
        Gegen eine Gebühr von {money}
        Bei der Begehung in {place}
        Bei einer Temperatur von {temp}
        Seit dem Frühjahr {year}"""),
    tails=lines("""
        für {money}
        innerhalb von {n} Tagen
        in {place}
        bis zum {date}
        bei {temp}
        unter dem Zeichen {ref}
        auf einer Länge von {length}
        mit einem Anteil von {percent}
        auf Vorschlag von {person}
        in {n} von {m} Fällen"""),
    links=entries("und, aber, denn, doch, jedoch"),
    statements=lines("""
        Die Summe betrug {money}, das sind {percent} mehr als im Jahr {year}.
        Von den {m} Proben wogen {n} mehr als {weight}.
        {person} unterschrieb das Schreiben am {date} in {place}.
        Der Mittelwert sank innerhalb von {n} Monaten von {decimal} auf {decimal}.
        Eine zweite Ablesung bei {temp} ergab {length}.
        Der Betrag von {money} ist bis zum {date} zu zahlen.
        Etwa {percent} der {m} Haushalte haben auf das Schreiben geantwortet.
        Die Akte {ref} wurde nach {n} Tagen geschlossen.
        Vor {time} Uhr wurden höchstens {n} Besucher gezählt.
        Die erste Dienststelle wurde {year} in {place} mit {n} Beschäftigten eröffnet."""),
    headings=lines("""
        Gegenstand und Zweck
        Ergebnisse des Jahres {year}
        Kosten und Förderung
        Messverfahren
        Die Lage in {place}
        Befunde
        Zeitplan bis {year}
        Beschäftigte und Dienststellen
        Offene Fragen
        Auswirkungen auf den Verkehr
        Baustoffe
        Zahlen auf einen Blick
        Unterhaltung
        Sicherheit
        Vorgeschichte
        Nächste Schritte
        Wasser und Energie
        Schlussfolgerungen"""),
    first_names=entries("Anneliese, Bärbel, Dietrich, Friedrich, Grete, Jürgen, Käthe, Lothar, Sönke, Ursula"),
    surnames=entries("Ackermann, Böttcher, Fährmann, Grünewald, Hößler, Köpke, Maßmann, Schäfer, Vogt, Zöllner"),
    places=entries("""Altenrode, Bühlstadt, Dörnfeld, Eschweiler, Fährhaus, Grünau, Hohenlinde, Königsfurt,
        Mühlberg, Neuwied, Süßenbach, Wörth"""),
    months=entries("Januar, Februar, März, April, Mai, Juni, Juli, August, September, Oktober, November, Dezember"),
    units=entries("kg, km, m, Liter, kWh, mm, t, Stunden"),
    fields=pairs("""Familienname=surname, Vorname=first, Geburtsdatum=date, Geburtsort=place, Straße=street,
        Postleitzahl=code, Wohnort=place, Telefon=phone, Kundennummer=ref, Betrag=money, Kontonummer=account,
        Gültig ab=date, Anzahl der Personen=n, Wohnfläche=area, Beruf=word, Unterschrieben in=place"""),
    words=dict(
        pairs("""table=Tabelle, figure=Abbildung, page=Seite, of=von, total=Summe, year=Jahr, place=Ort, no=Nr.,
        name=Name, amount=Betrag, change=Änderung, quantity=Menge, chapter=Kapitel, part=Teil, form=Antrag,
        listing=Quelltext, first=1. Halbjahr, second=2. Halbjahr, group=Gruppe, unit=Einheit, price=Preis,
        source=Quelle, draft=Entwurf, summary=Zusammenfassung, office=Dienststelle,
        letter=Sehr geehrte Damen und Herren, regards=Mit freundlichen Grüßen, subject=Betreff, quarter=Quartal"""),
    ),
    date="{d}. {month} {y}",
    inverts=True,
)
