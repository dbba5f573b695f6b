"""Wordings of CT and MRI correlates as radiologists write them, English and German, with the class of each."""

from __future__ import annotations

import pytest

from fedpsma.domain.region import Region
from fedpsma.text.ct_correlate import read_ct_correlate

WORDINGS = {
    ("BONE_RIB", "none"): [
        "no sclerosis, lysis or fracture",
        "No sclerosis, lysis, or fracture on CT.",
        "keine Sklerose",
        "keine Sklerose, Lyse oder Fraktur",
        "Keine Sklerose, keine Lyse, keine Fraktur im CT",
        "ohne CT-Korrelat",
        "kein morphologisches Korrelat",
        "ohne Sklerose",
        "weder Sklerose noch Lyse",
        "neither sclerotic nor lytic",
        "CT: unremarkable",
        "normal on CT",
        "CT normal",
        "CT shows nothing",
        "nothing on low-dose CT",
        "no CT abnormality",
        "no bony abnormality",
        "without morphological change",
        "no evidence of sclerosis",
        "no sign of fracture or sclerosis",
        "kein Hinweis auf Sklerose oder Fraktur",
        "kein Anhalt für Fraktur",
        "sclerosis absent",
        "Sklerose nicht nachweisbar",
        "no correlate",
        "no definite CT correlate",
        "nicht frakturiert, nicht sklerosiert",
        "Rippe ohne Fraktur, Lyse oder Sklerosierung",
        "keine Lyse/Sklerose",
        "no lysis/sclerosis/fracture",
        "No CT-correlate",
        "CT negative",
        "CT-negativ",
        "inconspicuous",
        "no osseous lesion identified",
        "no structural lesion",
        "no anatomical correlate on low-dose CT",
        "CT shows no sclerosis",
        "CT: no sclerosis, no lysis, no fracture",
        "CT does not show sclerosis or lysis",
        "no corresponding sclerotic or lytic lesion",
        "without sclerotic, lytic or traumatic change",
        "im CT keine sklerotische oder lytische Läsion",
        "im CT kein sicheres Korrelat",
        "CT-morphologisch kein Korrelat",
        "CT-morphologisch ohne Auffälligkeit",
        "ohne eindeutiges CT-morphologisches Korrelat",
        "Sklerose, Lyse oder Fraktur nicht abgrenzbar",
        "sclerosis, lysis or fracture not seen",
        "sclerosis and lysis are absent",
        "Ausschluss einer Fraktur",
        "Fraktur ausgeschlossen",
        "nicht sklerotisch",
        "keine sichere Sklerose",
        "keine Fraktur bekannt",
        "low-dose CT without contrast, no abnormality",
    ],
    ("BONE_RIB", "degenerative"): [
        "fracture line with callus",
        "healing fracture",
        "Fraktur mit Kallus",
        "alte Rippenfraktur",
        "no acute fracture; old healed fracture",
        "fracture with lucency",
        "no sclerosis or lysis; degenerative change of the costovertebral joint",
        "keine Sklerose, aber Kallus",
        "no sclerosis but callus formation",
    ],
    ("BONE_RIB", "suspicious"): [
        "no fracture but sclerotic focus",
        "no fracture, but sclerosis",
        "no fracture; sclerotic lesion 8 mm",
        "keine Fraktur, aber Sklerose",
        "keine Fraktur. Sklerotischer Herd",
        "no fracture, sclerotic lesion 8 mm",
        "faint sclerosis",
        "subtle sclerosis",
        "lucency",
        "no fracture. Lytic lesion with cortical breach.",
        "neu aufgetretene Sklerose",
        "new sclerosis",
        "diskrete Sklerose",
        "minimal sclerosis",
        "lysis or fracture cannot be excluded",
        "Sklerose und Lyse, Fraktur ausgeschlossen",
        "sclerosis or lysis, not fractured",
    ],
    ("BONE_LSPINE", "degenerative"): [
        "osteophyte at L4/5",
        "degenerative, facet joint",
        "facet arthropathy",
        "Facettengelenksarthrose",
        "degenerative endplate sclerosis",
        "degenerative, not sclerotic",
        "degenerative changes without suspicious lesion",
        "degenerativ verändert, kein suspekter Herd",
        "Osteochondrose LWK 4/5",
    ],
    ("BONE_LSPINE", "suspicious"): [
        "osteolysis",
        "lytic lesion with soft tissue component",
        "no degenerative change, sclerotic focus 9 mm",
        "sclerotic, not degenerative",
        "kein Hämangiom, osteolytisch",
        "haemangioma excluded; lytic metastasis",
    ],
    ("BONE_LSPINE", "benign"): [
        "haemangioma with coarse vertical trabeculae",
        "Hämangiom",
        "Schmorl node",
    ],
    ("BONE_PELVIS", "benign"): [
        "typical Paget disease",
        "M. Paget",
        "fibröse Dysplasie",
        "Enostose",
        "dense bone island, unchanged since 2015",
    ],
    ("BONE_PELVIS", "nonspecific"): [
        "nonspecific density",
    ],
    ("BONE_PELVIS", "suspicious"): [
        "pathological fracture",
        "pathologische Fraktur",
        "cortical destruction",
        "osteoplastisch",
        "gemischt sklerotisch-lytisch",
        "mixed lytic/sclerotic",
        "blastic",
        "osteoblastic metastasis",
        "not typical for Paget disease; lytic",
        "sclerotic metastasis",
    ],
    ("BONE_PELVIS", "none"): [
        "no osteoblastic or osteolytic lesion",
        "no lytic or sclerotic change",
        "keine ossäre Läsion",
        "kein knöchernes Korrelat",
    ],
    ("LN_OBTURATOR", "nonspecific"): [
        "12 mm short axis",
        "fatty hilum preserved",
        "not enlarged",
        "nicht vergrößert",
        "small node, 5 mm",
        "short axis 9 mm, fatty hilum",
        "not round, fatty hilum preserved",
        "normal-sized node, 6 mm",
    ],
    ("LN_OBTURATOR", "suspicious"): [
        "loss of fatty hilum",
        "round, no fatty hilum",
        "kein Fetthilus, rundlich",
        "necrotic conglomerate",
        "LK 12 mm, ohne Fetthilus",
        "enlarged, rounded",
        "vergrößert",
    ],
    ("LN_OBTURATOR", "none"): [
        "unauffällig",
        "no suspicious node on CT",
        "kein suspekter Lymphknoten",
    ],
    ("LN_AXILLARY", "nonspecific"): [
        "fatty hilum, reactive",
    ],
    ("LN_MEDIASTINAL_HILAR", "nonspecific"): [
        "calcified, symmetric",
    ],
    ("LIVER", "suspicious"): [
        "hypodense lesion 32 mm",
        "arterial enhancement with washout",
        "multiple hypodense metastases",
        "hypodense, ill-defined, 32 mm",
        "cyst excluded, solid lesion",
        "keine Zyste, solide Läsion",
    ],
    ("LIVER", "benign"): [
        "Zyste",
        "haemangioma with peripheral nodular enhancement",
    ],
    ("LIVER", "none"): [
        "no lesion on CT",
        "keine Läsion abgrenzbar",
        "isodense, no lesion seen",
        "unauffälliges Parenchym",
    ],
    ("LUNG", "suspicious"): [
        "spikulierter Rundherd",
        "ground-glass opacity",
        "8 mm nodule",
        "solid nodule 9 mm, smooth",
    ],
    ("LUNG", "none"): [
        "kein Rundherd",
        "no nodule",
    ],
    ("LUNG", "benign"): [
        "granuloma, calcified",
        "atelectasis",
        "kalzifiziertes Granulom",
    ],
    ("ADRENAL", "benign"): [
        "8 HU nodule",
        "adenoma",
        "Adenom (5 HE)",
        "-5 HU, lipid-rich adenoma",
    ],
    ("ADRENAL", "suspicious"): [
        "32 HU, growing mass",
    ],
    ("THYROID", "suspicious"): [
        "hypodense nodule",
    ],
    ("PROSTATE", "suspicious"): [
        "PI-RADS 5 lesion",
        "no extracapsular extension; PI-RADS 4",
    ],
    ("PROSTATE", None): [
        "no MRI",
        "left peripheral zone",
    ],
    ("PROSTATE", "none"): [
        "MRI negative",
    ],
    ("PROSTATE_BED", "suspicious"): [
        "soft tissue nodule 9 mm",
        "enhancing nodule at the anastomosis",
    ],
    ("PROSTATE_BED", "none"): [
        "no mass",
        "kein Rezidivknoten",
        "no soft tissue nodule",
    ],
    ("BRAIN", "benign"): [
        "extra-axial, typical meningioma",
    ],
    ("BONE_RIB", None): [
        "not available",
        "CT not performed",
        "anterolateral 6th rib",
        "kein Trauma erinnerlich",
        "no history of trauma",
        "no prior CT",
        "kein CT verfügbar",
        "no CT available",
        "without contrast",
    ],
    ("BONE_RIB", "nonspecific"): [
        "unclear",
    ],
    ("BONE_TSPINE", "benign"): [
        "no destruction, no soft-tissue mass; cortical thickening, coarse trabeculae and bone expansion",
    ],
    ("BONE_TSPINE", "degenerative"): [
        "compression fracture, osteoporotic",
        "Deckplatteneinbruch, osteoporotisch",
        "Wirbelkörpersinterung",
        "Spondylophyten",
    ],
    ("BONE_SACRUM", "degenerative"): [
        "insufficiency fracture",
        "Insuffizienzfraktur",
    ],
    ("BONE_FEMUR", None): [
        "CT not available",
        "out of CT field of view",
        "PET only",
    ],
    ("LN_COMMON_ILIAC", "none"): [
        "focus in the course of the right ureter, no node on CT",
    ],
    ("LN_COMMON_ILIAC", "benign"): [
        "tubular activity of the ureter",
    ],
    ("LN_RETROPERITONEAL", "benign"): [
        "band-shaped coeliac ganglion",
    ],
    ("LN_RETROPERITONEAL", "suspicious"): [
        "not a ganglion; round node 12 mm",
    ],
    ("ADRENAL", "none"): [
        "no nodule",
    ],
    ("BRAIN", "suspicious"): [
        "ring-enhancing lesion",
    ],
    ("PLEURA_PERITONEUM", "suspicious"): [
        "pleural thickening",
    ],
    ("OTHER_ORGAN", "suspicious"): [
        "penile lesion",
    ],
    ("THYROID", "none"): [
        "no nodule",
    ],
    ("LN_OBTURATOR", None): [
        "no contrast given",
    ],
}
CASES = [(region, expected, text) for (region, expected), texts in WORDINGS.items() for text in texts]


@pytest.mark.parametrize(("region", "expected", "text"), CASES)
def test_wording(region, expected, text):
    assert read_ct_correlate(text, Region(region)).ct_class == expected
