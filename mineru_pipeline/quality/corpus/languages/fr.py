"""French."""

from __future__ import annotations

from mineru_pipeline.quality.corpus.languages.lexicon import Language, entries, forms, lines, nouns, pairs

FRENCH = Language(
    code="fr",
    nouns=nouns("""
        m|le pont *|le pont, m|le rapport *|le rapport, m|le port *|le port, f|la pompe *|la pompe,
        m|le bureau *|le bureau, f|l’enquête *|l’enquête, m|le contrat *|le contrat, f|la vallée *|la vallée,
        f|la turbine *|la turbine, m|le dépôt *|le dépôt, m|le comité *|le comité, m|le verger *|le verger,
        m|le capteur *|le capteur, m|l’entrepôt *|l’entrepôt, m|le budget *|le budget,
        f|la bibliothèque *|la bibliothèque, m|le bac *|le bac, m|le filtre *|le filtre, m|l’atelier *|l’atelier,
        m|le réservoir *|le réservoir, m|l’horaire *|l’horaire, m|le quartier *|le quartier,
        f|la facture *|la facture, m|le laboratoire *|le laboratoire, m|le tramway *|le tramway,
        f|la fondation *|la fondation, m|le phare *|le phare, m|le compteur *|le compteur,
        m|le conseil *|le conseil, f|la serre *|la serre, f|la carrière *|la carrière,
        m|l’inventaire *|l’inventaire, m|l’hôpital *|l’hôpital, m|le moteur *|le moteur,
        m|le recensement *|le recensement, m|le sentier *|le sentier, f|la chaudière *|la chaudière,
        f|la cuisine *|la cuisine, f|la forêt *|la forêt, m|le règlement *|le règlement"""),
    adjectives=forms("""ancien/ancienne, communal/communale, provisoire, étroit/étroite, officiel/officielle,
        efficace, définitif/définitive, abîmé/abîmée, rénové/rénovée, central/centrale, difficile,
        différent/différente, fiable, modeste, supérieur/supérieure, privé/privée, révisé/révisée, public/publique,
        léger/légère, mécanique, intérieur/intérieure, régional/régionale"""),
    verbs=entries("""remplace, mesure, décrit, complète, retarde, contrôle, finance, répare, modifie, confirme,
        entoure, précède, reflète, dépasse, traverse, approuve, protège, accompagne, relie, concerne, préserve,
        simplifie, dessert, intéresse, vérifie, améliore"""),
    openers=lines("""
        Le {date},
        En {year},
        Selon {person},
        Au bout de {n} semaines,
        Près de {place},
        Pendant les {n} premiers mois,
        Pour une somme de {money},
        Lors de la visite à {place},
        À une température de {temp},
        Dès le printemps {year},"""),
    tails=lines("""
        pour {money}
        en {n} jours
        à {place}
        jusqu’au {date}
        à {temp}
        sous la référence {ref}
        sur une longueur de {length}
        avec une part de {percent}
        à la demande de {person}
        dans {n} cas sur {m}"""),
    links=entries("et, mais, car, tandis que, parce que, puis"),
    statements=lines("""
        Le total s’élève à {money}, soit {percent} de plus qu’en {year}.
        Sur les {m} échantillons, {n} pesaient plus de {weight}.
        {person} a signé la lettre à {place} le {date}.
        La moyenne est passée de {decimal} à {decimal} en {n} mois.
        Un second relevé à {temp} a donné {length}.
        La somme de {money} doit être versée avant le {date}.
        Environ {percent} des {m} ménages ont répondu à la lettre.
        Le dossier {ref} a été fermé après {n} jours.
        On a compté au plus {n} visiteurs avant {time}.
        Le premier bureau a ouvert à {place} en {year} avec {n} employés."""),
    headings=lines("""
        Objet et portée
        Résultats de {year}
        Coûts et financement
        Méthode de mesure
        La situation à {place}
        Constatations
        Calendrier jusqu’en {year}
        Personnel et bureaux
        Questions ouvertes
        Effets sur la circulation
        Matériaux
        Chiffres clés
        Entretien
        Sécurité
        Contexte
        Étapes suivantes
        Eau et énergie
        Conclusions"""),
    first_names=entries("Aurélie, Benoît, Cécile, Étienne, François, Hélène, Jérôme, Maëlle, Noémie, Thérèse"),
    surnames=entries("Aubépin, Bérard, Châtelain, Desnoyers, Fléchet, Guérin, Lefèvre, Mérieux, Préaux, Vaugelas"),
    places=entries("""Aubeterre, Belfontaine, Châteauvert, Drémont, Étangville, Fleurac, Gué-sur-Loue, Hautefeuille,
        Moulinet, Préval, Rochefleurie, Villeneuvette"""),
    months=entries("""janvier, février, mars, avril, mai, juin, juillet, août, septembre, octobre, novembre,
        décembre"""),
    units=entries("kg, km, m, litres, kWh, mm, t, heures"),
    fields=pairs("""Nom=surname, Prénom=first, Date de naissance=date, Lieu de naissance=place, Rue=street,
        Code postal=code, Commune=place, Téléphone=phone, Numéro de client=ref, Montant=money, Compte=account,
        Valable à partir du=date, Nombre de personnes=n, Surface=area, Profession=word, Fait à=place"""),
    words=dict(
        pairs("""table=Tableau, figure=Figure, page=Page, of=sur, total=Total, year=Année, place=Lieu, no=N°,
        name=Nom, amount=Montant, change=Écart, quantity=Quantité, chapter=Chapitre, part=Partie, form=Demande,
        listing=Programme, first=1er semestre, second=2e semestre, group=Groupe, unit=Unité, price=Prix,
        source=Source, draft=Projet, summary=Résumé, office=Bureau, letter=Madame ou Monsieur,
        regards=Veuillez agréer nos salutations, subject=Objet, quarter=Trimestre"""),
    ),
    thousands=" ",
)
