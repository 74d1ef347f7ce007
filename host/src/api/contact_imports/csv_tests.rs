//! Files as people's programs write them, in one piece and byte by byte.

use std::convert::Infallible;

use futures_util::stream;

use super::*;

/// What is read of a file: each row's line with its address and names, or what is wrong with it.
async fn read(file: &[u8], piece: usize) -> Result<Vec<String>, BadHeader> {
    let pieces: Vec<Result<Bytes, Infallible>> =
        file.chunks(piece).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    // As a body over HTTP, it panics when it is asked again after its end.
    let body = stream::unfold(pieces.into_iter(), async |mut rest| rest.next().map(|piece| (piece, rest)));
    let mut file = match File::open(Box::pin(body)).await {
        Ok(file) => file,
        Err(FileError::Header(bad)) => return Err(bad),
        Err(FileError::Body(never)) => match never {},
    };
    let mut rows = Vec::new();
    while let Some(row) = file.next(Timestamp::from_millis(0)).await.unwrap_or_else(|never| match never {}) {
        let shown = match row.contact {
            Err(error) => format!("! {error}"),
            Ok(contact) => {
                let names = [contact.first_name, contact.last_name, contact.company];
                let names: Vec<&str> = names.iter().map(|name| name.as_deref().unwrap_or("-")).collect();
                format!("{} {}", contact.email, names.join("|"))
            }
        };
        rows.push(format!("{}: {shown}", row.line));
    }
    Ok(rows)
}

/// However a file is cut on its way, it is the same file.
async fn check(file: impl AsRef<[u8]>, expected: &[&str]) {
    for piece in [1, 2, 3, 7, usize::MAX] {
        assert_eq!(read(file.as_ref(), piece).await.unwrap(), expected, "in pieces of {piece}");
    }
}

#[tokio::test]
async fn quoted_fields_hold_delimiters_quotes_and_line_breaks() {
    let file = "email,company,notes\r\n\
                a@b.example,\"Acme, \"\"the\"\" Inc.\",\"one\r\ntwo\"\r\n\
                c@b.example,\"Two\r\n Lines\",\r\n";
    check(file, &["2: a@b.example -|-|Acme, \"the\" Inc.", "4: c@b.example -|-|Two Lines"]).await;
}

#[tokio::test]
async fn lines_are_those_of_the_file_whatever_ends_them() {
    for end in ["\n", "\r\n", "\r"] {
        let file = ["email,first_name", "", "a@b.example,Ada", "", "", "nobody,\"x\ny\"", ",", "c@b.example"].join(end);
        let bad = "6: ! email: \"nobody\" has no @; write local@domain";
        let last = "9: c@b.example -|-|-";
        check(&file, &["3: a@b.example Ada|-|-", bad, last]).await;
        check(format!("{file}{end}"), &["3: a@b.example Ada|-|-", bad, last]).await;
    }
}

#[tokio::test]
async fn a_byte_order_mark_and_other_delimiters_are_understood() {
    check("\u{feff}\"E-Mail\";Vorname\r\na@b.example;\"x;y\"\r\n", &["2: a@b.example -|-|-"]).await;
    check("\u{feff}email\n a@b.example \n", &["2: a@b.example -|-|-"]).await;
    check("First Name\tE-mail\nAda\ta@b.example\n", &["2: a@b.example Ada|-|-"]).await;
    check("sep=;\r\ncompany;email\r\n\"A, B\";a@b.example\r\n", &["3: a@b.example -|-|A, B"]).await;
    check("\"first\nname\";email\nAda;a@b.example\n", &["3: a@b.example Ada|-|-"]).await;
}

#[tokio::test]
async fn a_bad_row_is_told_by_its_line_and_the_good_ones_stay() {
    let mut file = b"email,last_name\nfine@b.example,Lovelace\n".to_vec();
    file.extend(b"latin@b.example,M\xfcller\n");
    file.extend(b"too,many,fields\nmore@b.example,Inc,\n");
    file.extend(format!("long@b.example,{}\n", "x".repeat(201)).as_bytes());
    file.extend(b"bell@b.example,\x07\n,nobody\nlast@b.example");
    check(
        &file,
        &[
            "2: fine@b.example -|Lovelace|-",
            "3: ! the row is not UTF-8",
            "4: ! the row has 3 fields where the header has 2",
            "5: more@b.example -|Inc|-",
            "6: ! last_name: must have 0 to 200 characters, not 201",
            "7: ! last_name: must be one line without control characters",
            "8: ! email: the address is empty",
            "9: last@b.example -|-|-",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_row_of_any_length_costs_no_more_than_its_room() {
    let long = "x".repeat(70_000);
    let file = format!("email,company\na@b.example,\"{long}\nb@b.example,B\nc@b.example,C\n");
    let rows = read(file.as_bytes(), 4096).await.unwrap();
    assert!(rows[0].starts_with("2: ! the row is longer than 64 KiB"), "{rows:?}");
    assert_eq!(rows[1..], ["3: b@b.example -|-|B", "4: c@b.example -|-|C"]);
    let commas = ",".repeat(300);
    let rows = read(format!("email\na@b.example{commas}\nb@b.example\n").as_bytes(), 64).await.unwrap();
    assert!(rows[0].starts_with("2: ! ") && rows[0].contains("256 fields"), "{rows:?}");
    assert_eq!(rows[1..], ["3: b@b.example -|-|-"]);
}

#[tokio::test]
async fn a_quote_that_is_never_closed_is_told() {
    let file = "email,company\na@b.example,A\nb@b.example,\"B\nc@b.example,C\n";
    check(file, &["2: a@b.example -|-|A", "3: ! a quote is opened and not closed before the file ends"]).await;
}

#[tokio::test]
async fn a_file_without_the_column_is_told_what_it_has() {
    for (file, expected) in [
        ("name;phone\nAda;1\n", "must be the name of a column; the file has name, phone"),
        ("a@b.example\nc@b.example\n", "must be the name of a column; the file has a@b.example"),
        ("", "must be the name of a column, but the file has no header"),
        ("\r\n\r\n", "must be the name of a column, but the file has no header"),
        ("email,E-Mail,email\n", "must be the name of one column; email, email may all be it"),
    ] {
        for piece in [1, 5, usize::MAX] {
            let bad = read(file.as_bytes(), piece).await.unwrap_err();
            assert_eq!(bad.told(), ("email", expected.to_owned()), "{file:?}");
        }
    }
    assert!(read(&[0xff, 0xfe, b'e', 0, b'm', 0], 3).await.is_err());
    assert!(read("x".repeat(200_000).as_bytes(), 1000).await.is_err());
}

#[tokio::test]
async fn a_header_alone_is_an_empty_list() {
    check("email", &[]).await;
    check("email,first_name\r\n\r\n,\r\n", &[]).await;
}
