"""English."""

from __future__ import annotations

from mineru_pipeline.quality.corpus.languages.lexicon import Language, entries, forms, lines, nouns, pairs

ENGLISH = Language(
    code="en",
    nouns=nouns("""
        n|the * bridge|the bridge, n|the * report|the report, n|the * harbour|the harbour, n|the * pump|the pump,
        n|the * office|the office, n|the * survey|the survey, n|the * contract|the contract, n|the * valley|the valley,
        n|the * turbine|the turbine, n|the * archive|the archive, n|the * committee|the committee,
        n|the * orchard|the orchard, n|the * sensor|the sensor, n|the * warehouse|the warehouse,
        n|the * budget|the budget, n|the * library|the library, n|the * ferry|the ferry, n|the * filter|the filter,
        n|the * workshop|the workshop, n|the * reservoir|the reservoir, n|the * schedule|the schedule,
        n|the * district|the district, n|the * invoice|the invoice, n|the * laboratory|the laboratory,
        n|the * tramway|the tramway, n|the * foundation|the foundation, n|the * lighthouse|the lighthouse,
        n|the * meter|the meter, n|the * council|the council, n|the * glasshouse|the glasshouse,
        n|the * quarry|the quarry, n|the * inventory|the inventory, n|the * hospital|the hospital,
        n|the * engine|the engine, n|the * census|the census, n|the * footpath|the footpath,
        n|the * boiler|the boiler, n|the * lock keeper|the lock keeper, n|the * kitchen|the kitchen,
        n|the * regulation|the regulation"""),
    adjectives=forms("""old, new, northern, southern, temporary, municipal, quiet, narrow, official, efficient,
        final, broken, painted, former, central, difficult, different, reliable, modest, upper, copper, second,
        revised, private"""),
    verbs=entries("""replaced, measured, described, supplied, delayed, inspected, financed, repaired, affected,
        confirmed, surrounded, classified, reflected, controlled, crossed, approved, exceeded, followed, linked,
        moved, offered, preserved, simplified, served, sheltered, tested"""),
    openers=lines("""
        On {date},
        In {year},
        According to {person},
        After {n} weeks,
        Near {place},
        In the first {n} months,
        For a fee of {money},
        Between {year} and the following spring,
        During the inspection in {place},
        At a temperature of {temp},"""),
    tails=lines("""
        for {money}
        within {n} days
        in {place}
        until {date}
        at {temp}
        under reference {ref}
        over a length of {length}
        with a share of {percent}
        as {person} had proposed
        in {n} of {m} cases"""),
    links=entries("and, but, so, while, because, although"),
    statements=lines("""
        The total came to {money}, which is {percent} more than in {year}.
        Of the {m} samples, {n} weighed more than {weight}.
        {person} signed the paper in {place} on {date}.
        The average fell from {decimal} to {decimal} within {n} months.
        A second reading at {temp} gave {length}.
        Payment of {money} is due by {date}.
        About {percent} of the {m} households answered the letter.
        The file {ref} was closed after {n} days.
        No more than {n} visitors were counted before {time}.
        The first office opened in {place} in {year} with a staff of {n}."""),
    headings=lines("""
        Scope and purpose
        Results for {year}
        Costs and funding
        Method of measurement
        The situation in {place}
        Findings
        Schedule until {year}
        Staff and offices
        Open questions
        Effects on traffic
        Materials
        Figures at a glance
        Maintenance
        Safety
        Background
        Next steps
        Water and energy
        Conclusions"""),
    first_names=entries("Alice, Edward, Fiona, George, Harriet, Oliver, Philippa, Rupert, Sophie, Walter"),
    surnames=entries("Ashfield, Briggs, Coldwell, Draycott, Fifield, Hollis, Marlow, Pemberton, Thorne, Whitaker"),
    places=entries("""Alderby, Brackenford, Cliffmouth, Dunmere, Eastfleet, Flintwick, Granholm, Hartsea, Kingsloe,
        Millbrook, Norwold, Saltreach"""),
    months=entries("""January, February, March, April, May, June, July, August, September, October, November,
        December"""),
    units=entries("kg, km, m, litres, kWh, mm, t, hours"),
    fields=pairs("""Surname=surname, First name=first, Date of birth=date, Place of birth=place, Street=street,
        Postcode=code, Town=place, Telephone=phone, Customer number=ref, Amount=money, Account=account,
        Valid from=date, Number of persons=n, Floor area=area, Occupation=word, Signed in=place"""),
    words=dict(
        pairs("""table=Table, figure=Figure, page=Page, of=of, total=Total, year=Year, place=Place, no=No.,
        name=Name, amount=Amount, change=Change, quantity=Quantity, chapter=Chapter, part=Part,
        form=Application form, listing=Listing, first=First half, second=Second half, group=Group, unit=Unit,
        price=Price, source=Source, draft=Draft, summary=Summary, office=Office, letter=Dear Sir or Madam,
        regards=Yours faithfully, subject=Subject, quarter=Quarter"""),
    ),
    decimal=".",
    thousands=",",
    money="€{amount}",
)
