//! The built-in town as a database: what its dialogues were told by their lookups is what the tables answer.

use std::path::PathBuf;

use reformer_tables::{Bookings, Check, Database, Fault, Said, Talk, build};
use reformer_text::{Role, demo};
use tempfile::TempDir;

fn town() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tables.sqlite");
    build(serde_json::from_value(demo::schema()).unwrap(), &path).unwrap();
    (folder, path)
}

#[test]
fn the_towns_dialogues_are_told_what_its_tables_answer_and_every_placeholder_is_filled() {
    let (_folder, path) = town();
    let database = Database::open_beside(&path).unwrap();
    let mut asked = 0;
    for dialogue in demo::dialogues(demo::TRAIN_SEED, 300).iter().chain(&demo::requests(9, 60)) {
        let (mut talk, mut bookings) = (Talk::default(), Bookings::in_memory().unwrap());
        for turn in dialogue.turns.iter().filter(|turn| turn.role == Role::Assistant) {
            for lookup in &turn.lookups {
                if lookup.said() == "not possible : no room" {
                    // Others have booked it all.
                    let (name, details) = talk.wishes(database.schema(), &lookup.call).unwrap();
                    let table = database.schema().table(&name).unwrap();
                    let row = talk.about(&name).unwrap().rows[0].clone();
                    for _ in 0..table.booking.as_ref().unwrap().capacity.unwrap() {
                        bookings.book(table, &row, &details).unwrap();
                    }
                }
                let answer = match lookup.call.tool.as_str() {
                    "book" => talk.book(&database, &mut bookings, &lookup.call),
                    _ => talk.look_up(&database, &lookup.call),
                };
                assert_eq!(answer.said(), lookup.said(), "{}: {:?}", dialogue.id, lookup.call);
                asked += 1;
            }
            let filled = talk.fill(&turn.text);
            assert!(!filled.contains("(no ") && !filled.contains('{'), "{}: {filled}", dialogue.id);
        }
    }
    assert!(asked > 1500, "{asked}");
}

/// Plays a request with the replies that `reply` makes of the right ones; what is found wrong.
fn played(request: usize, reply: impl Fn(&str) -> String, books: bool) -> Vec<Fault> {
    let (_folder, path) = town();
    let database = Database::open_beside(&path).unwrap();
    let (mut talk, mut bookings) = (Talk::default(), Bookings::in_memory().unwrap());
    let mut check = Check::new(&database).unwrap();
    let mut faults = Vec::new();
    for two in demo::requests(9, 60)[request].turns.chunks_exact(2) {
        check.prepare(&two[0].text, &two[1], &mut bookings).unwrap();
        for lookup in &two[1].lookups {
            match lookup.call.tool.as_str() {
                "book" if books => drop(talk.book(&database, &mut bookings, &lookup.call)),
                "book" => {}
                _ => drop(talk.look_up(&database, &lookup.call)),
            }
        }
        let raw = reply(&two[1].text);
        let filled = talk.fill(&raw);
        faults.extend(check.faults(&two[1], Said { raw: &raw, filled: &filled }, &bookings).unwrap());
    }
    faults
}

#[test]
fn the_right_replies_are_right_also_when_all_is_booked() {
    for request in 0..60 {
        assert_eq!(played(request, str::to_owned, true), [], "request {request}");
    }
}

#[test]
fn another_row_a_booking_that_is_not_there_and_a_made_up_name_are_found() {
    let other = played(0, |text| text.replace("{restaurant.name}", "Old Oak"), true);
    let wrong =
        |fault: &Fault, words: &str| matches!(fault, Fault::Wrong(problem) if problem.contains(words));
    assert!(other.iter().any(|fault| wrong(fault, "Old Oak is not what was wished for")), "{other:?}");
    let unbooked = played(1, str::to_owned, false);
    assert!(unbooked.iter().any(|fault| wrong(fault, "booked []")), "{unbooked:?}");
    let listed = (0..60).find(|&request| {
        demo::requests(9, 60)[request].turns.iter().any(|turn| turn.text.contains("{bookings}"))
    });
    let untold = played(listed.unwrap(), |text| text.replace("{bookings}", "some things"), true);
    assert!(untold.iter().any(|fault| wrong(fault, "is not told")), "{untold:?}");
    let invented = played(2, |text| text.replace("{train.number}", "TR77 to Atlantis"), true);
    for word in ["TR77", "Atlantis"] {
        assert!(invented.contains(&Fault::Invented(word.to_owned())), "{word}: {invented:?}");
    }
}
