//! What the header of a CSV file means: which column is the address, which are the names, and which are nobody's.

/// More columns than this are no list of people.
pub(super) const MOST_COLUMNS: usize = 256;
const LONGEST_SHOWN: usize = 80;

/// What a column may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Email,
    FirstName,
    LastName,
    Company,
}

/// Where each field stands in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Columns {
    places: [Option<usize>; 4],
    /// How many columns the header has.
    pub(super) count: usize,
    /// Columns that nothing is taken from, as they are named.
    pub(super) ignored: Vec<String>,
}

/// Why a header can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// No column holds the address.
    NoEmail { columns: Vec<String> },
    /// Two columns claim the same field.
    Twice { field: Field, columns: Vec<String> },
}

impl Field {
    const ALL: [Self; 4] = [Self::Email, Self::FirstName, Self::LastName, Self::Company];

    /// Its name in the API.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::Company => "company",
        }
    }

    /// How else it is written, in letters and digits alone. "Name" is not among them: it may be either name, or both.
    const fn spellings(self) -> &'static [&'static str] {
        match self {
            Self::Email => &["email", "emailaddress", "mail", "mailaddress"],
            Self::FirstName => &["firstname", "givenname", "forename", "fname"],
            Self::LastName => &["lastname", "surname", "familyname", "lname"],
            Self::Company => &["company", "companyname", "organization", "organisation"],
        }
    }

    /// Whether a column is named as the API names the field.
    fn is_named(self, column: &str) -> bool {
        column.trim().eq_ignore_ascii_case(self.name())
    }

    /// Whether a column is named in one of the other ways.
    fn is_spelled(self, column: &str) -> bool {
        let letters: String = column.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        self.spellings().contains(&letters.as_str())
    }
}

impl Columns {
    /// Reads a header. The API's own name of a field goes before other spellings of it; two columns of the same rank are
    /// ambiguous.
    pub(super) fn of_header(header: &[String]) -> Result<Self, BadHeader> {
        let mut columns = Self { count: header.len(), ..Self::default() };
        for field in Field::ALL {
            let mut found: Vec<usize> = (0..header.len()).filter(|n| field.is_named(&header[*n])).collect();
            if found.is_empty() {
                found = (0..header.len()).filter(|n| field.is_spelled(&header[*n])).collect();
            }
            match found[..] {
                [] => {}
                [only] => columns.places[field as usize] = Some(only),
                _ => {
                    let columns = found.into_iter().map(|n| shown(&header[n])).collect();
                    return Err(BadHeader::Twice { field, columns });
                }
            }
        }
        if columns.place(Field::Email).is_none() {
            return Err(BadHeader::NoEmail { columns: header.iter().map(|name| shown(name)).collect() });
        }
        let is_ignored = |n: &usize| !columns.places.contains(&Some(*n)) && !header[*n].trim().is_empty();
        columns.ignored = (0..header.len()).filter(is_ignored).map(|n| shown(&header[n])).collect();
        Ok(columns)
    }

    /// Where a field stands.
    pub(super) fn place(&self, field: Field) -> Option<usize> {
        self.places[field as usize]
    }
}

impl BadHeader {
    /// The field that is wrong, and what is wrong about it.
    pub(super) fn told(&self) -> (&'static str, String) {
        match self {
            Self::NoEmail { columns } if columns.is_empty() => {
                ("email", "must be the name of a column, but the file has no header".to_owned())
            }
            Self::NoEmail { columns } => {
                ("email", format!("must be the name of a column; the file has {}", columns.join(", ")))
            }
            Self::Twice { field, columns } => {
                (field.name(), format!("must be the name of one column; {} may all be it", columns.join(", ")))
            }
        }
    }
}

fn shown(name: &str) -> String {
    name.trim().chars().take(LONGEST_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &[&str]) -> Result<Columns, BadHeader> {
        Columns::of_header(&header.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[track_caller]
    fn check(header: &[&str], places: [Option<usize>; 4], ignored: &[&str]) {
        let columns = read(header).unwrap();
        assert_eq!((columns.places, columns.ignored), (places, ignored.iter().map(ToString::to_string).collect()));
    }

    #[test]
    fn columns_may_stand_in_any_order_and_case() {
        check(&["Company", " EMAIL ", "last_name", "First_Name"], [Some(1), Some(3), Some(2), Some(0)], &[]);
        check(&["E-mail", "First Name", "Surname", "Organisation"], [Some(0), Some(1), Some(2), Some(3)], &[]);
        check(&["email"], [Some(0), None, None, None], &[]);
    }

    #[test]
    fn what_could_be_either_name_is_neither() {
        check(&["email", "Name", "Phone", ""], [Some(0), None, None, None], &["Name", "Phone"]);
    }

    #[test]
    fn the_apis_own_name_goes_before_other_spellings() {
        check(&["Mail", "email"], [Some(1), None, None, None], &["Mail"]);
        let twice = read(&["E-Mail", "mail", "company"]).unwrap_err();
        assert_eq!(twice.told(), ("email", "must be the name of one column; E-Mail, mail may all be it".to_owned()));
    }

    #[test]
    fn a_missing_address_is_told_with_what_there_is() {
        let missing = read(&["address", "name"]).unwrap_err();
        assert_eq!(missing.told(), ("email", "must be the name of a column; the file has address, name".to_owned()));
        assert!(read(&[]).unwrap_err().told().1.contains("no header"));
    }
}
