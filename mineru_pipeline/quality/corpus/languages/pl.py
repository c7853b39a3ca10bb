"""Polish."""

from __future__ import annotations

from mineru_pipeline.quality.corpus.languages.lexicon import Language, entries, forms, lines, nouns, pairs

POLISH = Language(
    code="pl",
    nouns=nouns("""
        m|* most|most, m|* raport|raport, m|* port|port, f|* pompa|pompę, n|* biuro|biuro, f|* ankieta|ankietę,
        f|* umowa|umowę, f|* dolina|dolinę, f|* turbina|turbinę, n|* archiwum|archiwum, f|* komisja|komisję,
        m|* sad|sad, m|* czujnik|czujnik, m|* magazyn|magazyn, m|* budżet|budżet, f|* biblioteka|bibliotekę,
        m|* prom|prom, m|* filtr|filtr, m|* warsztat|warsztat, m|* zbiornik|zbiornik, m|* rozkład|rozkład,
        f|* dzielnica|dzielnicę, f|* faktura|fakturę, n|* laboratorium|laboratorium, m|* tramwaj|tramwaj,
        m|* fundament|fundament, f|* latarnia|latarnię, m|* licznik|licznik, f|* rada|radę, f|* szklarnia|szklarnię,
        m|* kamieniołom|kamieniołom, m|* spis|spis, m|* szpital|szpital, m|* silnik|silnik, f|* ścieżka|ścieżkę,
        m|* kocioł|kocioł, f|* kuchnia|kuchnię, f|* góra|górę, f|* łąka|łąkę, n|* źródło|źródło"""),
    adjectives=forms("""stary/stara/stare, nowy/nowa/nowe, północny/północna/północne, południowy/południowa/południowe,
        tymczasowy/tymczasowa/tymczasowe, miejski/miejska/miejskie, spokojny/spokojna/spokojne, wąski/wąska/wąskie,
        urzędowy/urzędowa/urzędowe, oszczędny/oszczędna/oszczędne, ostateczny/ostateczna/ostateczne,
        uszkodzony/uszkodzona/uszkodzone, dawny/dawna/dawne, główny/główna/główne, trudny/trudna/trudne,
        niezawodny/niezawodna/niezawodne, skromny/skromna/skromne, górny/górna/górne, drugi/druga/drugie,
        zmieniony/zmieniona/zmienione, prywatny/prywatna/prywatne"""),
    verbs=entries("""zastępuje, mierzy, opisuje, zaopatruje, opóźnia, sprawdza, finansuje, naprawia, zmienia,
        potwierdza, otacza, porządkuje, odzwierciedla, kontroluje, przecina, zatwierdza, przewyższa, chroni, łączy,
        uzupełnia, wspiera, upraszcza, obsługuje, odciąża, osłania, wyprzedza"""),
    openers=lines("""
        Dnia {date}
        W roku {year}
        Według informacji z {date}
        Po {n} tygodniach
        W miejscowości {place}
        Przez pierwsze {n} miesięcy
        Za opłatą {money}
        Podczas wizyty w dniu {date}
        W temperaturze {temp}
        Od wiosny {year} roku"""),
    tails=lines("""
        za {money}
        w ciągu {n} dni
        w miejscowości {place}
        do {date}
        w temperaturze {temp}
        pod numerem {ref}
        na długości {length}
        z udziałem {percent}
        zgodnie z pismem {ref}
        w {n} przypadkach na {m}"""),
    links=entries("i, ale, więc, ponieważ, gdyż, natomiast"),
    statements=lines("""
        Łączna kwota wyniosła {money}, czyli o {percent} więcej niż w roku {year}.
        Spośród {m} próbek {n} ważyło więcej niż {weight}.
        Pismo podpisano w miejscowości {place} dnia {date}.
        Średnia spadła z {decimal} do {decimal} w ciągu {n} miesięcy.
        Drugi odczyt w temperaturze {temp} dał wynik {length}.
        Kwotę {money} należy zapłacić do {date}.
        Około {percent} z {m} gospodarstw odpowiedziało na pismo.
        Sprawę {ref} zamknięto po {n} dniach.
        Przed godziną {time} policzono najwyżej {n} osób.
        Pierwsze biuro otwarto w roku {year} w miejscowości {place}, zatrudniając {n} osób."""),
    headings=lines("""
        Przedmiot i cel
        Wyniki za rok {year}
        Koszty i środki
        Sposób pomiaru
        Sytuacja w terenie
        Spostrzeżenia
        Harmonogram do roku {year}
        Pracownicy i biura
        Pytania otwarte
        Wpływ na ruch drogowy
        Materiały
        Najważniejsze liczby
        Utrzymanie
        Bezpieczeństwo
        Tło
        Następne kroki
        Woda i energia
        Wnioski"""),
    first_names=entries("Agnieszka, Błażej, Grażyna, Józef, Łucja, Małgorzata, Paweł, Stanisław, Świętosława, Żaneta"),
    surnames=entries("Bąk, Ćwikła, Dębowski, Gołąb, Jabłoński, Łękawa, Późniak, Śliwa, Wrzesień, Żółkiewska"),
    places=entries("""Białowola, Czerwonka, Dębina, Gołąbki, Jeżowo, Kąty, Łęczyca, Młynary, Ostróda, Świerki,
        Wąwolnica, Żabieniec"""),
    months=entries("""stycznia, lutego, marca, kwietnia, maja, czerwca, lipca, sierpnia, września, października,
        listopada, grudnia"""),
    units=entries("kg, km, m, litrów, kWh, mm, t, godzin"),
    fields=pairs("""Nazwisko=surname, Imię=first, Data urodzenia=date, Miejsce urodzenia=place, Ulica=street,
        Kod pocztowy=code, Miejscowość=place, Telefon=phone, Numer klienta=ref, Kwota=money, Konto=account,
        Ważne od=date, Liczba osób=n, Powierzchnia=area, Zawód=word, Podpisano w=place"""),
    words=dict(
        pairs("""table=Tabela, figure=Rysunek, page=Strona, of=z, total=Razem, year=Rok, place=Miejsce, no=Lp.,
        name=Nazwa, amount=Kwota, change=Zmiana, quantity=Ilość, chapter=Rozdział, part=Część, form=Wniosek,
        listing=Program, first=I półrocze, second=II półrocze, group=Grupa, unit=Jednostka, price=Cena,
        source=Źródło, draft=Projekt, summary=Streszczenie, office=Urząd, letter=Szanowni Państwo,
        regards=Z poważaniem, subject=Dotyczy, quarter=Kwartał"""),
    ),
    thousands=" ",
    money="{amount} zł",
)
