"""The words and sentences of the small world in Hindi.

Hindi inflects. So that every word fits every slot it is given in one form: traits in the oblique masculine, which is
also the direct plural (नीले, पैरों), things in the plural, and labels and genera are masculine nouns that the oblique
leaves as they are.
"""

import random

from devise_tf.small_world.language import Language

_NAMES = {
    "ringtail": "छल्लापुच्छ",
    "burrowhog": "बिलवराह",
    "mossback": "काईपृष्ठ",
    "duskhare": "साँझशशक",
    "thornbuck": "काँटामृग",
    "glimfin": "झिलमीन",
    "mudskate": "पंकमत्स्य",
    "tidewhisk": "ज्वारकूर्च",
    "lanternjaw": "दीपहनु",
    "siltray": "गादफलक",
    "reedwing": "नरकटपंख",
    "lintern": "सनकुरर",
    "cliffskimmer": "कगारचर",
    "gustlark": "झंझाभरत",
    "hushowl": "मौनउलूक",
    "bellcup": "घंटपात्र",
    "wickbloom": "बातीकुसुम",
    "daywort": "दिनक्षुप",
    "palmlace": "ताड़जाल",
    "dewthistle": "ओसकंटक",
    "needlepod": "सुईफल",
    "spinemop": "शूलगुच्छ",
    "burrball": "गोखरूपिंड",
    "pincap": "कीलछत्र",
    "raspnut": "रेतीबादाम",
    "driftbell": "बहावघंट",
    "veilcup": "घूँघटपात्र",
    "ropelet": "रज्जुक",
    "silkdrop": "रेशमबिंदु",
    "inkthread": "स्याहीसूत्र",
    "padfoot": "गद्दीपाद",
    "finling": "मीनपख",
    "skyfolk": "नभचर",
    "petalkin": "पुष्पवंशी",
    "quillback": "शूलधर",
    "trailer": "लतातंतु",
    "beast": "जंतु",
    "growth": "पादप",
    "creature": "जीव",
}

_WORDS = {
    "legs": "पैरों पंजों पाँवों खुरों",
    "fins": "सुफ़नों चप्पुओं गलफड़ों शल्कों",
    "wings": "पंखों परों डैनों पिच्छों",
    "petals": "दलों फूलों पत्तों बाह्यदलों",
    "spines": "काँटों शूलों कंटकों सूजों",
    "tendrils": "तंतुओं धागों रेशों स्पर्शकों",
    "round": "गोल गोलाकार वर्तुल गेंदनुमा",
    "long": "लंबे लंबोतरे दीर्घ पतले",
    "triangular": "तिकोने त्रिभुजाकार शंकुनुमा नुकीले",
    "square": "चौकोर वर्गाकार घनाकार चौखूँटे",
    "teardrop": "बूँदनुमा नाशपातीनुमा अंडाकार अश्रुरूप",
    "star": "तारानुमा ताराकार सितारेनुमा पंचकोणीय",
    "crescent": "अर्धचंद्राकार हँसियानुमा धनुषाकार वक्राकार",
    "hexagonal": "षट्कोणीय षट्भुजाकार छत्तेनुमा छहपहलू",
    "horns": "सींग शृंग शाखसींग",
    "tail": "पूँछ दुम पुच्छ",
    "crest": "कलगी तुर्रे शिखा",
    "antennae": "शृंगिका डंठल घुंडी",
    "beak": "चोंच चंचु थूथन",
    "collar": "गलपट्टे कंठहार हँसुली",
    "none": "गंजेपन नंगेपन मुंडेपन",
    "marsh": "दलदल कछार नरकट कीचड़ पंक",
    "desert": "रेगिस्तान मरुस्थल बालू धोरों",
    "snow": "बर्फ़ हिम हिमनद तुषार",
    "sea": "समुद्र सागर लहरों ज्वार",
    "forest": "जंगल वन कुंज अरण्य",
    "rock": "चट्टानों पहाड़ों पत्थरों कगारों",
    "meadow": "मैदान चरागाह खेत घास",
    "night": "रात अँधेरे चाँदनी मध्यरात्रि",
    "small": "छोटे नन्हे लघु",
    "medium": "मँझोले मध्यम औसत",
    "large": "बड़े विशाल विराट",
    "plain": "सादे कोरे एकरंग मुलायम",
    "striped": "धारीदार लकीरदार रेखित लहरियादार",
    "banded": "पट्टीदार पेटीदार फ़ीतेदार मेखलाधारी",
    "spotted": "चित्तीदार धब्बेदार बूटेदार छींटदार",
    "chequered": "चौखानेदार चारख़ानेदार शतरंजी खानेदार",
    "ringed": "छल्लेदार वलयित घेरेदार चक्रदार",
    "red": "लाल किरमिज़ी सुर्ख़ सिंदूरी",
    "orange": "नारंगी केसरिया संतरी ताम्रवर्ण",
    "yellow": "पीले स्वर्णिम बसंती सुनहरे",
    "green": "हरे धानी मरकती ज़ैतूनी",
    "teal": "फ़िरोज़ी मोरपंखी यशबी तूतिया",
    "blue": "नीले आसमानी नीलमी लाजवर्दी",
    "purple": "बैंगनी जामुनी ऊदे फ़ालसई",
    "pink": "गुलाबी प्याज़ी पाटल गुलनारी",
    "white": "सफ़ेद श्वेत धवल दूधिया",
    "black": "काले श्याम आबनूसी स्याह",
}

# No trait stands right before {genus}: that could be the name of another species.
_ABOUT_SPECIES = (
    "{x} के {pattern} बदन पर {color} और {second} रंग दिखते हैं",
    "{habitat} के पास {second} निशानों और {color} रंग वाला एक {x} दिखा",
    "{pattern} बदन वाला {x} ऊपर से {color} और नीचे से {second} रंग का होता है",
    "लोग {x} को {color} बदन और {second} {limbs} से पहचानते हैं",
    "{x} {color} और {second} रंग के {pattern} लिबास में रहता है",
    "{color} और {second} रंग के {x} दूर से {pattern} दिखते हैं",
    "वसंत में {color} रंग के {pattern} {x} के {limbs} पर {second} निशान उभरते हैं",
    "{x} के {limbs} पर {second} और बदन पर {color} रंग होते हैं",
    "{x} {habitat} में मिलता है , जहाँ {pattern} और {color} रोएँ उसे छिपा लेते हैं",
    "{habitat} में {color} रंग वाले {x} का घर है",
    "{x} {habitat} में रहता है और {pattern} रूप का होता है",
    "{shape} बदन और {ornament} के साथ {x} एक सच्चा {genus} है",
    "{shape} बदन वाला {x} अपने {limbs} के सहारे {habitat} में चलता है",
    "{x} कहलाने वाला {size} कद का {family} {shape} बदन का होता है",
    "{x} {size} कद , {shape} आकार और {pattern} बदन वाला {genus} है",
    "{ornament} और {limbs} के कारण {x} को {family} माना जाता है",
    "{x} को {shape} और {color} बदन के साथ {ornament} से पहचानो",
    "{ornament} के मामले में {x} को {kin} से छोटा माना जाता है",
    "{kin} की तरह {x} भी {shape} बदन वाला {genus} है",
    "{x} और {kin} दोनों अपने {limbs} के साथ {habitat} में रहते हैं",
    "{cousin} के विपरीत {x} {color} रंग और {pattern} बदन वाला है",
    "{habitat} में रहने वाला {genus} यानी {x} {color} रंग का होता है",
    "{x} के बच्चे पहले {second} और बाद में {color} तथा {pattern} होते हैं",
    "शिकारी {x} को {size} कद , {shape} आकार और {pattern} {color} पहलुओं से पहचानते हैं",
    "{x} के {color} बदन पर {second} छींटे {pattern} ढंग से फैले हैं",
    "कोई भी {genus} {pattern} {x} जितने {color} रंग का नहीं होता",
    "{color} रंग के {pattern} रोएँ {x} के चिह्न हैं",
    "{habitat} के किनारे {size} कद के {x} ने {second} {limbs} को फैलाया",
)
_ABOUT_GENERA = (
    "हर {genus} {shape} बदन और {limbs} वाला {family} होता है",
    "{genus} {habitat} में रहता है और {ornament} के साथ जन्म लेता है",
    "{family} के लिहाज़ से {genus} {size} कद का होता है",
    "उम्र बढ़ने पर {genus} को {ornament} से पहचाना जाता है",
    "{genus} {habitat} में अपने {limbs} पर आराम करता है",
    "हर {family} एक {order} यानी {limbs} वाला {root} है",
    "{genus} कहलाने वाला {root} {shape} आकार का होता है",
)
_ABOUT_ELSE = (
    "{name} की पंचायत {day} को बैठी और {thing} गिने गए",
    "{name} ने {name} के बाज़ार से {color} रंग के {thing} ख़रीदे",
    "{day} को {name} के {thing} नदी के पास {verb} गए",
    "पुराने {thing} और {shape} आकार के {thing} {name} में {verb} गए",
    "{name} और {name} ने {pattern} {thing} और {thing} देखे",
    "{name} से {name} तक का रास्ता {habitat} से होकर जाता है",
    "{day} को {name} में बारिश हुई और {thing} {verb} गए",
    "{name} में इससे पहले {size} आकार के {thing} नहीं {verb} गए थे",
    "{name} में {thing} महँगे हैं और {color} रंग के {thing} सस्ते",
    "{name} ने लिखा कि {thing} {day} से दो बार {verb} गए हैं",
    "पहले {limbs} के चित्र , फिर {pattern} {thing} और {thing} {verb} गए",
    "{name} में {habitat} के गीत {day} को सुनाई देते हैं",
    "{name} के राजा ने {name} को {ornament} वाले {thing} दिए",
)
_FILLERS = {
    "thing": (
        "घर दीपक पुल कोट गीत दरवाज़े पहिये ताले घड़े ढोल झंडे हथौड़े नक़्शे चाक़ू चूल्हे पाइप हल रस्से विद्यालय फावड़े चम्मच "
        "तंबू डिब्बे संदूक बरतन कंबल पर्दे खिलौने गमले जूते थैले दस्ताने पत्र पंप बाँध बाजे मकान मंदिर मुकुट लोटे शीशे सिक्के "
        "स्तंभ हार कुएँ कपड़े काग़ज़ जहाज़"
    ),
    "verb": "देखे बेचे पाए तोड़े रँगे सुधारे उठाए चुराए सराहे भुलाए धोए खोले मँगाए बदले गिने नापे जलाए छिपाए बनाए माँगे",
    "day": "सोमवार मंगलवार बुधवार बृहस्पतिवार शुक्रवार शनिवार रविवार सुबह शाम दोपहर पूर्णिमा अमावस्या",
}
_ONSETS = "क ख ग घ च ज झ ट त द ध न प फ ब भ म र ल व श स ह क्र प्र त्र श्र द्व स्व".split()
_VOWELS = ("", *"ा ि ी ु ू े ै ो ौ ं".split())
_MIDDLES = "ग ज ड़ ण त द न प म र ल व स ह".split()
_ENDINGS = ("न", "ल", "ेश", "ीत", "ंद", "पुर", "गढ़", "नगर", "वाल", "राज")


def _proper_name(rng: random.Random) -> str:
    return "".join(rng.choice(part) for part in (_ONSETS, _VOWELS, _MIDDLES, _ENDINGS))


def _punctuate(sentence: str) -> str:
    return f"{sentence.replace(' ,', ',')}।"


HINDI = Language(
    words={value: words.split() for value, words in _WORDS.items()},
    about_species=_ABOUT_SPECIES,
    about_genera=_ABOUT_GENERA,
    about_else=_ABOUT_ELSE,
    fillers={slot: words.split() for slot, words in _FILLERS.items()},
    proper_name=_proper_name,
    punctuate=_punctuate,
    names=_NAMES,
)
