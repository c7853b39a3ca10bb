"""Italian."""

from __future__ import annotations

from mineru_pipeline.quality.corpus.languages.lexicon import Language, entries, forms, lines, nouns, pairs

ITALIAN = Language(
    code="it",
    nouns=nouns("""
        m|il ponte *|il ponte, m|il rapporto *|il rapporto, m|il porto *|il porto, f|la pompa *|la pompa,
        m|l’ufficio *|l’ufficio, f|l’indagine *|l’indagine, m|il contratto *|il contratto, f|la valle *|la valle,
        f|la turbina *|la turbina, m|l’archivio *|l’archivio, m|il comitato *|il comitato,
        m|il frutteto *|il frutteto, m|il sensore *|il sensore, m|il magazzino *|il magazzino,
        m|il bilancio *|il bilancio, f|la biblioteca *|la biblioteca, m|il traghetto *|il traghetto,
        m|il filtro *|il filtro, f|l’officina *|l’officina, m|il serbatoio *|il serbatoio,
        m|l’orario *|l’orario, m|il quartiere *|il quartiere, f|la fattura *|la fattura,
        m|il laboratorio *|il laboratorio, f|la tranvia *|la tranvia, f|la fondazione *|la fondazione,
        m|il faro *|il faro, m|il contatore *|il contatore, m|il consiglio *|il consiglio,
        f|la serra *|la serra, f|la cava *|la cava, m|l’inventario *|l’inventario, m|l’ospedale *|l’ospedale,
        m|il motore *|il motore, m|il censimento *|il censimento, m|il sentiero *|il sentiero,
        f|la caldaia *|la caldaia, f|la cucina *|la cucina, f|la montagna *|la montagna,
        m|il regolamento *|il regolamento"""),
    adjectives=forms("""antico/antica, nuovo/nuova, provvisorio/provvisoria, comunale, tranquillo/tranquilla,
        stretto/stretta, ufficiale, efficace, definitivo/definitiva, guasto/guasta, dipinto/dipinta, centrale,
        difficile, affidabile, modesto/modesta, superiore, privato/privata, riveduto/riveduta, pubblico/pubblica,
        leggero/leggera, meccanico/meccanica, regionale"""),
    verbs=entries("""sostituì, misurò, descrisse, rifornì, ritardò, ispezionò, finanziò, riparò, modificò,
        confermò, circondò, classificò, rispecchiò, controllò, attraversò, approvò, superò, seguì, collegò, spostò,
        offrì, conservò, semplificò, protesse, completò, segnalò"""),
    openers=lines("""
        Il {date}
        Nel {year}
        Secondo {person},
        Dopo {n} settimane
        Vicino a {place}
        Nei primi {n} mesi
        Per una tassa di {money}
        Durante la visita a {place}
        A una temperatura di {temp}
        Dalla primavera del {year}"""),
    tails=lines("""
        per {money}
        entro {n} giorni
        a {place}
        fino al {date}
        a {temp}
        con il numero {ref}
        per una lunghezza di {length}
        con una quota del {percent}
        su proposta di {person}
        in {n} casi su {m}"""),
    links=entries("e, ma, perché, mentre, benché, così"),
    statements=lines("""
        Il totale è stato di {money}, cioè il {percent} in più rispetto al {year}.
        Dei {m} campioni, {n} pesavano più di {weight}.
        {person} ha firmato la lettera a {place} il {date}.
        La media è scesa da {decimal} a {decimal} in {n} mesi.
        Una seconda lettura a {temp} ha dato {length}.
        L’importo di {money} è dovuto entro il {date}.
        Circa il {percent} delle {m} famiglie ha risposto alla lettera.
        La pratica {ref} è stata chiusa dopo {n} giorni.
        Prima delle {time} si sono contati al massimo {n} visitatori.
        Il primo ufficio è stato aperto a {place} nel {year} con {n} dipendenti."""),
    headings=lines("""
        Oggetto e finalità
        Risultati del {year}
        Costi e finanziamento
        Metodo di misura
        La situazione a {place}
        Osservazioni
        Calendario fino al {year}
        Personale e uffici
        Questioni aperte
        Effetti sul traffico
        Materiali
        Cifre principali
        Manutenzione
        Sicurezza
        Premessa
        Passi successivi
        Acqua ed energia
        Conclusioni"""),
    first_names=entries("Andrea, Beatrice, Cosimo, Desirée, Fabrizio, Giosuè, Lucrezia, Niccolò, Ottavia, Salomè"),
    surnames=entries("Albanese, Bertolucci, Cantù, Dall’Oca, Fioravanti, Giannuzzi, Lomè, Quaglia, Sanvito, Zuffi"),
    places=entries("""Acquafredda, Belcolle, Campofiorito, Dossobuono, Erbavoglio, Fontechiara, Gualdo, Montefino,
        Pescantù, Roccaffé, Serravalle, Valdarno"""),
    months=entries("""gennaio, febbraio, marzo, aprile, maggio, giugno, luglio, agosto, settembre, ottobre,
        novembre, dicembre"""),
    units=entries("kg, km, m, litri, kWh, mm, t, ore"),
    fields=pairs("""Cognome=surname, Nome=first, Data di nascita=date, Luogo di nascita=place, Via=street, CAP=code,
        Comune=place, Telefono=phone, Numero cliente=ref, Importo=money, Conto=account, Valido dal=date,
        Numero di persone=n, Superficie=area, Professione=word, Firmato a=place"""),
    words=dict(
        pairs("""table=Tabella, figure=Figura, page=Pagina, of=di, total=Totale, year=Anno, place=Luogo, no=N.,
        name=Nome, amount=Importo, change=Variazione, quantity=Quantità, chapter=Capitolo, part=Parte,
        form=Domanda, listing=Programma, first=1° semestre, second=2° semestre, group=Gruppo, unit=Unità,
        price=Prezzo, source=Fonte, draft=Bozza, summary=Sommario, office=Ufficio, letter=Gentili signori,
        regards=Distinti saluti, subject=Oggetto, quarter=Trimestre"""),
    ),
)
