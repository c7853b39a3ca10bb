"""Czech."""

from __future__ import annotations

from mineru_pipeline.quality.corpus.languages.lexicon import Language, entries, forms, lines, nouns, pairs

CZECH = Language(
    code="cs",
    nouns=nouns("""
        m|* most|most, f|* zpráva|zprávu, m|* přístav|přístav, n|* čerpadlo|čerpadlo, f|* kancelář|kancelář,
        m|* průzkum|průzkum, f|* smlouva|smlouvu, n|* údolí|údolí, f|* turbína|turbínu, m|* archiv|archiv,
        m|* výbor|výbor, m|* sad|sad, n|* čidlo|čidlo, m|* sklad|sklad, m|* rozpočet|rozpočet,
        f|* knihovna|knihovnu, m|* přívoz|přívoz, m|* filtr|filtr, f|* dílna|dílnu, f|* nádrž|nádrž,
        m|* jízdní řád|jízdní řád, m|* okres|okres, f|* faktura|fakturu, f|* laboratoř|laboratoř,
        f|* tramvaj|tramvaj, m|* základ|základ, m|* maják|maják, m|* měřič|měřič, f|* rada|radu,
        m|* skleník|skleník, m|* lom|lom, m|* soupis|soupis, f|* nemocnice|nemocnici, m|* motor|motor,
        n|* sčítání|sčítání, f|* stezka|stezku, m|* kotel|kotel, f|* kuchyně|kuchyni, f|* vyhláška|vyhlášku,
        n|* družstvo|družstvo"""),
    adjectives=forms("""starý/stará/staré, nový/nová/nové, severní, jižní, dočasný/dočasná/dočasné,
        městský/městská/městské, tichý/tichá/tiché, úzký/úzká/úzké, úřední, úsporný/úsporná/úsporné,
        konečný/konečná/konečné, poškozený/poškozená/poškozené,
        bývalý/bývalá/bývalé, hlavní, těžký/těžká/těžké,
        spolehlivý/spolehlivá/spolehlivé, skromný/skromná/skromné, horní, druhý/druhá/druhé,
        změněný/změněná/změněné, soukromý/soukromá/soukromé"""),
    verbs=entries("""nahrazuje, měří, popisuje, zásobuje, zdržuje, kontroluje, financuje, opravuje, mění, potvrzuje,
        obklopuje, řadí, odráží, řídí, protíná, schvaluje, převyšuje, chrání, spojuje, doplňuje, podporuje,
        zjednodušuje, obsluhuje, předchází, zkouší, zajišťuje"""),
    openers=lines("""
        Dne {date}
        V roce {year}
        Podle zápisu ze dne {date}
        Po {n} týdnech
        V obci {place}
        Během prvních {n} měsíců
        Za poplatek {money}
        Při návštěvě dne {date}
        Při teplotě {temp}
        Od jara {year}"""),
    tails=lines("""
        za {money}
        do {n} dnů
        v obci {place}
        do {date}
        při teplotě {temp}
        pod číslem {ref}
        v délce {length}
        s podílem {percent}
        podle dopisu {ref}
        v {n} případech z {m}"""),
    links=entries("a, ale, neboť, protože, zatímco, avšak"),
    statements=lines("""
        Celková částka činila {money}, tedy o {percent} více než v roce {year}.
        Ze {m} vzorků vážilo {n} více než {weight}.
        Dopis byl podepsán v obci {place} dne {date}.
        Průměr klesl z {decimal} na {decimal} během {n} měsíců.
        Druhé měření při teplotě {temp} dalo výsledek {length}.
        Částku {money} je nutné zaplatit do {date}.
        Přibližně {percent} z {m} domácností na dopis odpovědělo.
        Spis {ref} byl uzavřen po {n} dnech.
        Před {time} bylo napočítáno nejvýše {n} osob.
        První kancelář byla otevřena v roce {year} v obci {place} a měla {n} zaměstnanců."""),
    headings=lines("""
        Předmět a účel
        Výsledky za rok {year}
        Náklady a zdroje
        Způsob měření
        Situace v terénu
        Zjištění
        Plán do roku {year}
        Zaměstnanci a úřady
        Otevřené otázky
        Vliv na dopravu
        Materiály
        Přehled čísel
        Údržba
        Bezpečnost
        Souvislosti
        Další kroky
        Voda a energie
        Závěry"""),
    first_names=entries("Alžběta, Bořivoj, Čeněk, Jiří, Kateřina, Ondřej, Růžena, Šárka, Tomáš, Zdeněk"),
    surnames=entries("Bělohlávek, Černý, Dvořáková, Hříbal, Jeřábek, Kučera, Němcová, Příhoda, Šťastný, Žáček"),
    places=entries("""Bělčice, Červenka, Dobřany, Hřensko, Jeřmanice, Kuřim, Lužice, Mníšek, Náměšť, Říčany, Šťáhlavy,
        Žďár"""),
    months=entries("""ledna, února, března, dubna, května, června, července, srpna, září, října, listopadu,
        prosince"""),
    units=entries("kg, km, m, litrů, kWh, mm, t, hodin"),
    fields=pairs("""Příjmení=surname, Jméno=first, Datum narození=date, Místo narození=place, Ulice=street, PSČ=code,
        Obec=place, Telefon=phone, Číslo zákazníka=ref, Částka=money, Účet=account, Platí od=date, Počet osob=n,
        Plocha=area, Povolání=word, Podepsáno v obci=place"""),
    words=dict(
        pairs("""table=Tabulka, figure=Obrázek, page=Strana, of=z, total=Celkem, year=Rok, place=Místo, no=Č.,
        name=Název, amount=Částka, change=Změna, quantity=Množství, chapter=Kapitola, part=Část, form=Žádost,
        listing=Program, first=1. pololetí, second=2. pololetí, group=Skupina, unit=Jednotka, price=Cena,
        source=Zdroj, draft=Návrh, summary=Souhrn, office=Úřad, letter=Vážení, regards=S pozdravem, subject=Věc,
        quarter=Čtvrtletí"""),
    ),
    date="{d}. {month} {y}",
    thousands=" ",
    money="{amount} Kč",
)
