"""The languages that search knows: for each its stemmer, stop words and names of months.

Stop words are the words of grammar: they are in nearly every message, so they do not
distinguish messages. They are written here with their accents; the analyzer folds them.
"""

import msgspec

NO_LANGUAGE = "none"
"""No stemming and no stop words."""


class Language(msgspec.Struct, frozen=True):
    """One language.

    Attributes:
        name: the value of the setting `USERKEEP_SEARCH_LANGUAGE`.
        stemmer: the Snowball algorithm that removes endings; empty for none.
        stop_words: see the module.
        months: the names of the months, January first, with their short forms.
        ambiguous_months: names that are also common words. They only count with a day or a year.
        endings: common ones that the stemmer removes, to find a word by its beginning.
    """

    name: str
    stemmer: str
    stop_words: frozenset[str]
    months: tuple[tuple[str, ...], ...]
    ambiguous_months: frozenset[str] = frozenset()
    endings: tuple[str, ...] = ()


def _language(
    name: str, stop_words: str, months: str, *, ambiguous: str = "", endings: str = ""
) -> Language:
    return Language(
        name=name,
        stemmer="porter" if name == "english" else name,
        stop_words=frozenset(stop_words.split()),
        months=tuple(tuple(names.split("/")) for names in months.split()),
        ambiguous_months=frozenset(ambiguous.split()),
        endings=tuple(endings.split()),
    )


_ENGLISH = _language(
    "english",
    """
    a an the this that these those
    i me my mine myself we us our ours ourselves you your yours yourself yourselves
    he him his himself she her hers herself it its itself they them their theirs themselves
    who whom whose which what when where why how
    am is are was were be been being have has had having do does did doing done
    can could will would shall should may might must ought
    and or but nor if because as until while than so
    of at by for with about against between into through during before after above below to from
    up down in out on off over under again further then once here there
    all any both each few more most other some such no not only own same too very just now
    s t d ll m o re ve ain aren couldn didn doesn don hadn hasn haven isn let mustn needn shan
    shouldn wasn weren won wouldn cannot
    """,
    "january/jan february/feb march/mar april/apr may june/jun july/jul august/aug"
    " september/sep/sept october/oct november/nov december/dec",
    ambiguous="may march mar jan sep",
    endings="s es ed er ers ing ings ly ation ations ness ment able ful",
)

_GERMAN = _language(
    "german",
    """
    der die das den dem des ein eine einer einen einem eines kein keine keiner keinen keinem
    ich mich mir mein meine meiner meinen meinem du dich dir dein deine er ihn ihm sein seine sie
    ihr ihre ihren ihrem ihrer es wir uns unser unsere euch euer eure sich man
    wer wen wem wessen was welche welcher welches wann wo woher wohin warum wieso wie
    bin bist ist sind seid war warst waren wart gewesen habe hast hat haben habt hatte hatten
    werde wirst wird werden wurde wurden kann kannst können könnt konnte soll sollte will wollte
    muss müssen darf dürfen mag
    und oder aber denn weil dass wenn ob als bis damit sondern
    in im an am auf aus bei beim mit nach von vom vor zu zum zur über unter durch für gegen ohne um
    zwischen seit während
    auch noch nur schon sehr so da dort hier dann nun ja nein nicht doch mal alle alles andere
    diese dieser dieses diesen diesem jede jeder jedes
    """,
    "januar/jan februar/feb märz april mai juni juli august/aug september/sept oktober/okt"
    " november/nov dezember/dez",
)

_FRENCH = _language(
    "french",
    """
    le la les l un une des du de d au aux ce cet cette ces
    je j me m moi mon ma mes tu te t toi ton ta tes il elle on se s soi son sa ses nous notre nos
    vous votre vos ils elles leur leurs lui y en
    qui que qu quoi dont où quand comment pourquoi quel quelle quels quelles
    suis es est sommes êtes sont étais était étaient été être ai as a avons avez ont avais avait
    avaient eu avoir fait faire peut peux
    et ou mais donc or ni car si comme parce
    dans par pour sur avec sans sous vers chez entre avant après depuis pendant contre
    ne n pas plus moins très aussi bien encore déjà tout toute tous toutes même autre c là ici
    """,
    "janvier/janv février/févr mars avril/avr mai juin juillet/juil août septembre/sept"
    " octobre/oct novembre/nov décembre/déc",
)

_SPANISH = _language(
    "spanish",
    """
    el la los las lo un una unos unas al del este esta estos estas ese esa esos esas eso esto
    yo me mi mis mí tú te ti tu tus él ella ello se sí su sus nosotros nosotras nos nuestro nuestra
    vosotros os vuestro ellos ellas le les usted ustedes
    quien quién quienes que qué cual cuál cuáles cuando cuándo donde dónde cómo como porque
    soy eres es somos son era eran fue fueron sido ser estoy estás está estamos están estaba estar
    he has ha hemos han había haber tengo tiene tener hay puede
    y e o u pero sino ni si pues aunque
    a de en con por para sin sobre entre desde hasta hacia contra durante antes después
    no muy más menos ya también tan tanto todo toda todos todas otro otra mismo aquí allí
    """,
    "enero febrero marzo abril mayo junio julio agosto septiembre/setiembre octubre noviembre"
    " diciembre",
)

_ITALIAN = _language(
    "italian",
    """
    il lo la i gli le l un uno una del dello della dei degli delle al allo alla ai agli alle dal
    dalla dai nel nella nei nelle sul sulla sui questo questa questi queste quello quella
    io me mi mio mia miei mie tu te ti tuo tua tuoi tue lui lei egli ella si sé suo sua suoi sue noi
    ci nostro nostra voi vi vostro vostra loro ne
    chi che cosa cui quale quali quando dove come perché
    sono sei è siamo siete era erano stato stata essere ho hai ha abbiamo avete hanno aveva avevano
    avuto avere può
    e ed o od ma però se anche né
    a ad di d da in con su per tra fra senza sotto sopra prima dopo durante contro
    non più meno molto già ancora tutto tutta tutti tutte altro stesso qui là così
    """,
    "gennaio/gen febbraio/feb marzo aprile/apr maggio giugno luglio agosto settembre ottobre"
    " novembre/nov dicembre/dic",
)

_PORTUGUESE = _language(
    "portuguese",
    """
    o a os as um uma uns umas ao aos à às do da dos das no na nos nas pelo pela este esta estes
    estas esse essa isso isto aquele aquela
    eu me mim meu minha meus minhas tu te ti teu tua você vocês ele ela se si seu sua seus suas nós
    nosso nossa eles elas lhe lhes
    quem que qual quais quando onde como porque porquê
    sou és é somos são era eram foi foram sido ser estou está estamos estão estava estar tenho tem
    têm tinha ter há pode
    e ou mas nem se pois
    de em com por para sem sobre entre desde até contra durante antes depois
    não muito mais menos já também tão todo toda todos todas outro outra mesmo aqui ali lá
    """,
    "janeiro/jan fevereiro/fev março abril/abr maio junho julho agosto setembro outubro"
    " novembro dezembro",
)

_DUTCH = _language(
    "dutch",
    """
    de het een deze dit die dat
    ik me mij mijn jij je jou jouw u uw hij hem zijn zij ze haar zich het wij we ons onze jullie hun
    hen men
    wie wat welke welk wanneer waar waarom hoe
    ben bent is zijn was waren geweest heb hebt heeft hebben had hadden word wordt worden werd kan
    kunnen kon zal zullen zou wil moet mag
    en of maar want omdat dus als dan toen terwijl
    in op aan bij met van voor na naar over onder door uit tot tegen tussen zonder om te sinds
    niet geen ook nog al zeer zo daar hier er nu ja nee wel maar alle alles andere elk elke
    """,
    "januari/jan februari/feb maart april/apr mei juni juli augustus/aug september/sept"
    " oktober/okt november/nov december/dec",
)

LANGUAGES: dict[str, Language] = {
    each.name: each
    for each in (
        _ENGLISH, _DUTCH, _FRENCH, _GERMAN, _ITALIAN, _PORTUGUESE, _SPANISH,
        Language(name=NO_LANGUAGE, stemmer="", stop_words=frozenset(), months=()),
    )
}  # fmt: skip
"""The languages that an instance can be set to, by name."""
