"""Spanish."""

from __future__ import annotations

from mineru_pipeline.quality.corpus.languages.lexicon import Language, entries, forms, lines, nouns, pairs

SPANISH = Language(
    code="es",
    nouns=nouns("""
        m|el puente *|el puente, m|el informe *|el informe, m|el puerto *|el puerto, f|la bomba *|la bomba,
        f|la oficina *|la oficina, f|la encuesta *|la encuesta, m|el contrato *|el contrato, m|el valle *|el valle,
        f|la turbina *|la turbina, m|el archivo *|el archivo, f|la comisión *|la comisión, m|el huerto *|el huerto,
        m|el sensor *|el sensor, m|el almacén *|el almacén, m|el presupuesto *|el presupuesto,
        f|la biblioteca *|la biblioteca, f|la barca *|la barca, m|el filtro *|el filtro, m|el taller *|el taller,
        m|el embalse *|el embalse, m|el horario *|el horario, m|el distrito *|el distrito,
        f|la factura *|la factura, m|el laboratorio *|el laboratorio, m|el tranvía *|el tranvía,
        m|el cimiento *|el cimiento, m|el faro *|el faro, m|el contador *|el contador, m|el consejo *|el consejo,
        m|el invernadero *|el invernadero, f|la cantera *|la cantera, m|el inventario *|el inventario,
        m|el hospital *|el hospital, m|el motor *|el motor, m|el censo *|el censo, m|el sendero *|el sendero,
        f|la caldera *|la caldera, f|la cocina *|la cocina, f|la montaña *|la montaña,
        m|el reglamento *|el reglamento"""),
    adjectives=forms("""antiguo/antigua, nuevo/nueva, provisional, municipal, tranquilo/tranquila,
        estrecho/estrecha, oficial, eficaz, definitivo/definitiva, dañado/dañada, pintado/pintada, central, difícil,
        distinto/distinta, fiable, modesto/modesta, superior, privado/privada, revisado/revisada, público/pública,
        pequeño/pequeña, mecánico/mecánica"""),
    verbs=entries("""sustituyó, midió, describió, abasteció, retrasó, inspeccionó, financió, reparó, afectó,
        confirmó, rodeó, clasificó, reflejó, controló, cruzó, aprobó, superó, siguió, enlazó, trasladó, ofreció,
        conservó, simplificó, protegió, completó, señaló"""),
    openers=lines("""
        El {date}
        En {year}
        Según {person},
        Al cabo de {n} semanas,
        Cerca de {place},
        En los primeros {n} meses
        Por una tasa de {money},
        Durante la visita a {place},
        A una temperatura de {temp},
        Desde la primavera de {year},"""),
    tails=lines("""
        por {money}
        en {n} días
        en {place}
        hasta el {date}
        a {temp}
        con la referencia {ref}
        a lo largo de {length}
        con una cuota del {percent}
        a propuesta de {person}
        en {n} de {m} casos"""),
    links=entries("y, pero, porque, mientras que, aunque, así que"),
    statements=lines("""
        El total ascendió a {money}, un {percent} más que en {year}.
        De las {m} muestras, {n} pesaban más de {weight}.
        {person} firmó el escrito en {place} el {date}.
        La media bajó de {decimal} a {decimal} en {n} meses.
        Una segunda lectura a {temp} dio {length}.
        El importe de {money} vence el {date}.
        Alrededor del {percent} de los {m} hogares contestó la carta.
        El expediente {ref} se cerró a los {n} días.
        Antes de las {time} se contaron como máximo {n} visitantes.
        La primera oficina abrió en {place} en {year} con {n} empleados."""),
    headings=lines("""
        Objeto y alcance
        Resultados de {year}
        Costes y financiación
        Método de medición
        La situación en {place}
        Observaciones
        Calendario hasta {year}
        Personal y oficinas
        Cuestiones abiertas
        Efectos sobre el tráfico
        Materiales
        Cifras principales
        Mantenimiento
        Seguridad
        Antecedentes
        Próximos pasos
        Agua y energía
        Conclusiones"""),
    first_names=entries("Álvaro, Begoña, Concepción, Íñigo, Joaquín, Lucía, Mónica, Óscar, Raúl, Verónica"),
    surnames=entries("Aránguiz, Benítez, Carreño, Domínguez, Echeverría, Ibáñez, Muñoz, Núñez, Peña, Villafañe"),
    places=entries("""Alcañuela, Bermejal, Cañaveral, Dehesilla, Espinardo, Fuentealba, Guadarroyo, Hontanar,
        Logroñal, Peñafría, Quintanilla, Valdeolmos"""),
    months=entries("""enero, febrero, marzo, abril, mayo, junio, julio, agosto, septiembre, octubre, noviembre,
        diciembre"""),
    units=entries("kg, km, m, litros, kWh, mm, t, horas"),
    fields=pairs("""Apellido=surname, Nombre=first, Fecha de nacimiento=date, Lugar de nacimiento=place, Calle=street,
        Código postal=code, Localidad=place, Teléfono=phone, Número de cliente=ref, Importe=money, Cuenta=account,
        Válido desde=date, Número de personas=n, Superficie=area, Profesión=word, Firmado en=place"""),
    words=dict(
        pairs("""table=Tabla, figure=Figura, page=Página, of=de, total=Total, year=Año, place=Lugar, no=N.º,
        name=Nombre, amount=Importe, change=Variación, quantity=Cantidad, chapter=Capítulo, part=Parte,
        form=Solicitud, listing=Programa, first=1.er semestre, second=2.º semestre, group=Grupo, unit=Unidad,
        price=Precio, source=Fuente, draft=Borrador, summary=Resumen, office=Oficina, letter=Estimados señores,
        regards=Atentamente, subject=Asunto, quarter=Trimestre"""),
    ),
    date="{d} de {month} de {y}",
)
