//! The replies of `replies.txt`: an address is called dead where the server says so, and nowhere else.

use ampout_plugin::BounceClass;

#[test]
fn an_address_is_dead_where_its_server_says_so_and_nowhere_else() {
    let lines = include_str!("replies.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rows: Vec<_> = lines.map(|line| line.split_once('\t').expect("a word, a tab and a reply")).collect();
    let is_wrong = |(word, reply): &&(&str, &str)| {
        let is_dead = match *word {
            "dead" => true,
            "lives" => false,
            other => panic!("{other:?} is no word of this file"),
        };
        (BounceClass::of_text(reply) == BounceClass::Hard) != is_dead
    };
    let wrong: Vec<_> = rows.iter().filter(is_wrong).collect();
    assert!(wrong.is_empty(), "{} of {} are judged wrongly: {wrong:#?}", wrong.len(), rows.len());
}
