//! The small words that stand right beside a request, folded: they deny it, put it off, or say who is meant.

/// Folded, as a negation stands before a request in different languages.
pub(crate) const NEGATIONS: &[&str] = &[
    "nepreji si ",
    "neprejeme si ",
    "nechci ",
    "nechceme ",
    "neprajem si ",
    "nechcem ",
    "nie chce ",
    "nie chcemy ",
    "ne zelim ",
    "en halua ",
    "nem szeretn",
    "not ",
    "n't ",
    "dont ",
    "never ",
    "no need to ",
    "without ",
    "nicht ",
    "pas ",
    "niet ",
    "ikke ",
    "inte ",
    "nie ",
    "ne ",
    "no me ",
    "no nos ",
    "no quiero ",
    "non ",
    "nao ",
    "nu ",
    "не ",
    "不要",
    "别",
    "勿",
    "לא ",
    "אל ",
    "μη ",
    "μην ",
    "لا ",
];

/// How somebody declines just before he asks; it denies nothing.
pub(crate) const DECLINES: &[&str] = &[
    "not interested",
    "no interest",
    "no thanks",
    "no thank you",
    "nicht interessiert",
    "kein interesse",
    "kein bedarf",
    "pas interesse",
    "pas interessee",
    "no me interesa",
    "no nos interesa",
    "no estoy interesado",
    "non mi interessa",
    "non sono interessato",
    "nao tenho interesse",
    "geen interesse",
    "niet geinteresseerd",
    "inte intresserad",
    "ikke interesseret",
    "ikke interessert",
];

/// Words of [`super::NARROWS`] that put off a request in front of which they stand, too.
pub(crate) const LIMITS: &[&str] =
    &["until", "before ", "bis ", "vor ", "jusqu", "avant ", "hasta", "antes de", "fino ", "prima d", "tot ", "forran"];

/// Who is removed, where the verb has its object before it.
pub(crate) const WRITERS: &[&str] =
    &["i", "am", "me", "my", "we", "us", "our", "address", "email", "mail", "addresses", "emails"];

/// The same where it stands behind: `löschen Sie mich nicht aus …`.
pub(crate) const NEGATIONS_BEHIND: &[&str] = &[" nicht ", " niet ", " pas ", " ikke ", " inte "];

/// The same in languages that put it at the end of the verb.
pub(crate) const NEGATED_VERBS: &[&str] = &["しないで", "하지 마", "하지 말"];

/// Words that join requests: what stands before belongs to another.
pub(crate) const JOINTS: &[&str] = &[" and ", " und ", " et ", " y ", " e ", " en ", " och ", " og ", " i "];

/// What may stand between a verb and a list beside the writer.
pub(crate) const ARTICLES: &[&str] = &[
    "dalla",
    "dalle",
    "voor",
    "ert",
    "jeres",
    "deres",
    "nome",
    "nom",
    "nombre",
    "naam",
    "my",
    "me",
    "us",
    "our",
    "mine",
    "the",
    "a",
    "off",
    "work",
    "business",
    "id",
    "e",
    "and",
    "on",
    "in",
    "any",
    "mich",
    "uns",
    "meine",
    "unsere",
    "aus",
    "von",
    "der",
    "mailadresse",
    "mij",
    "ons",
    "mijn",
    "onze",
    "uit",
    "van",
    "mi",
    "mis",
    "de",
    "mon",
    "mes",
    "notre",
    "du",
    "des",
    "il",
    "mio",
    "dal",
    "dai",
    "meu",
    "meus",
    "o",
    "do",
    "da",
    "fra",
    "fran",
    "mail",
    "correo",
    "electronico",
    "electronica",
    "messagerie",
    "courriel",
    "direccion",
    "endereco",
    "email",
];

/// Beside [`WRITERS`], whom `off your list` may follow.
pub(crate) const OFF_WHOM: &[&str] = &[
    "off", "want", "get", "taken", "removed", "name", "him", "her", "details", "contact", "data", "be", "account",
    "company",
];

/// How somebody objects …
pub(crate) const OBJECTIONS: &[&str] = &["object to", "widerspreche", "oppose", "oppongo", "opongo", "oponho"];

/// … and to what, so that it is no price.
pub(crate) const OBJECTED: &[&str] = &[
    "data",
    "daten",
    "werb",
    "zusend",
    "kontakt",
    "mail",
    "marketing",
    "contact",
    "donnees",
    "prospection",
    "adress",
    "dati",
    "datos",
    "dados",
    "indirizzo",
];
