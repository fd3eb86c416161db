//! An annotated dialogue becomes one with lookups, and what it says is explained.

use reformer_tables::ground::{Grounder, Led, read_states};
use reformer_tables::{Database, Talk, import};
use reformer_text::lookups::compact::{Piece, render};
use reformer_text::{Call, Dialogue, Lookup, Turn};

use crate::town::Town;

const DIALOGUE: &str = r#"{"id":"d1","turns":[
 {"speaker":"user","text":"a place to stay in the north with 4 stars","state":{"hotel-area":"north","hotel-stars":"4"}},
 {"speaker":"system","text":"there is 1 : acorn guesthouse , a 4 star guest house . its phone is 01223 353888 ."},
 {"speaker":"user","text":"book it for 2 people on sunday","state":{"hotel-area":"north","hotel-stars":"4","hotel-name":"the acorn guest house","hotel-book people":"2","hotel-book day":"sunday"}},
 {"speaker":"system","text":"booked for 2 people . the reference number is 7gawk763 ."},
 {"speaker":"user","text":"and a taxi to the hotel at 9:15 .","state":{"hotel-area":"north","hotel-stars":"4","hotel-name":"the acorn guest house","hotel-book people":"2","hotel-book day":"sunday","taxi-destination":"the acorn guest house","taxi-leaveat":"9:15"}},
 {"speaker":"system","text":"booked ! a blue honda , contact number 07218068540 ."},
 {"speaker":"user","text":"and what was the reference again ?","state":{}},
 {"speaker":"system","text":"7gawk763 , for acorn guest house ."}]}"#;

#[test]
fn states_become_calls_and_what_the_system_says_becomes_placeholders() {
    let town = Town::new();
    let database = town.database();
    let path = town.folder.path().join("states.jsonl");
    std::fs::write(&path, DIALOGUE.replace('\n', " ")).unwrap();
    let mut grounder = Grounder::new(&database).unwrap();
    let dialogue = grounder.ground(&read_states(&path).unwrap()[0]).unwrap();
    let compact = |turn: usize| -> Vec<String> {
        let lookups = dialogue.turns[turn].lookups.iter();
        let text = |piece: &Piece<'_>| match piece {
            Piece::Special(text) | Piece::Text(text) => text.to_string(),
        };
        lookups.map(|l| render(&l.call).iter().map(text).collect::<String>() + " → " + &l.said()).collect()
    };
    assert_eq!(compact(1), ["<|lookup|>{hotel}{hotel.area} north{hotel.stars} 4 → 1 ; north ; 4"]);
    let said = &dialogue.turns[1].text;
    assert_eq!(
        said,
        "there is {hotel.count} : {hotel.name} , a {hotel.stars} star {hotel.type} . its phone is {hotel.phone} ."
    );
    // The user did not say the name, so the call does not spell it.
    assert_eq!(
        compact(3),
        [
            "<|lookup|>{hotel}{hotel.area} north{hotel.stars} 4{hotel.name}{hotel.name}\
             {hotel.book people} 2{hotel.book day} sunday → 1 ; north ; 4",
            "<|book|>{hotel} → booked"
        ]
    );
    assert_eq!(
        dialogue.turns[3].text,
        "booked for {hotel.book people} people . the reference number is {hotel.reference} ."
    );
    assert_eq!(
        compact(5),
        ["<|lookup|>{taxi}{taxi.destination}{hotel.name}{taxi.leaveat} 9:15 → 2", "<|book|>{taxi} → booked"]
    );
    assert_eq!(dialogue.turns[5].text, "booked ! a {taxi.type} , contact number {taxi.phone} .");
    // The taxi goes to the hotel, and the table in focus explains first: both placeholders fill to the same name.
    assert_eq!(dialogue.turns[7].text, "{hotel.reference} , for {taxi.destination} .");
    let report = grounder.report();
    assert_eq!((report.lookups, report.bookings, report.unexplained_turns), (5, 2, 0));
}

#[test]
fn a_corpus_without_states_is_refused_with_its_line() {
    let town = Town::new();
    let path = town.folder.path().join("states.jsonl");
    for (text, expected) in [
        (r#"{"turns":[{"speaker":"user","text":"hi"}]}"#, "line 1: no turn has a state"),
        (r#"{"turns":[{"speaker":"bird","text":"hi"}]}"#, "line 1: the speaker \"bird\""),
        ("\n[1]", "line 2"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = read_states(&path).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("states.jsonl"), "{error}");
    }
}

#[test]
fn a_systems_own_lookups_lead_to_the_corpuss_words() {
    let town = Town::new();
    let database = town.database();
    let grounder = Grounder::new(&database).unwrap();
    let (mut led, mut talk) = (Led::default(), Talk::default());
    let mut asks = |wishes: &[(&str, &str)]| {
        talk.look_up(&database, &Call::of_table("lookup", "hotel", wishes.iter().copied()))
    };
    let title = |lookup: &Lookup| {
        let result: serde_json::Value = serde_json::from_str(&lookup.result).unwrap();
        result["rows"][0]["name"].as_str().unwrap_or_default().to_owned()
    };
    // The system found another hotel first; the corpus's words name this one.
    let lookup = asks(&[("area", "north")]);
    assert_eq!(title(&lookup), "the Acorn Guest House");
    let turn = grounder.led(&mut led, &[lookup], "there are 2 , for example saint john's lodge .").unwrap();
    assert_eq!(turn.text, "there are {hotel.count} , for example {hotel.name} .");
    assert_eq!(title(&turn.lookups[0]), "Saint John's Lodge");
    // A booking is the corpus's, with its reference, whatever the system booked; what was refused stays.
    let refused = asks(&[("colour", "red")]);
    let own =
        Lookup { call: Call::of_table("book", "hotel", []), result: r#"{"says": "booked"}"#.to_owned() };
    let words = "booked saint john's lodge . the reference number is 7gawk763 .";
    let turn = grounder.led(&mut led, &[refused.clone(), own], words).unwrap();
    assert_eq!(turn.text, "booked {hotel.name} . the reference number is {hotel.reference} .");
    assert_eq!((turn.lookups.len(), &turn.lookups[0]), (2, &refused));
    assert!(turn.lookups[1].result.contains("7gawk763"), "{}", turn.lookups[1].result);
}

/// Tables that no state speaks of: a hospital's departments, of one address.
fn hospital() -> (tempfile::TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let departments = "department,phone\npaediatric clinic,0122300010\nemergency department,0122300020\n";
    std::fs::write(files.join("hospital.csv"), departments).unwrap();
    let schema = r#"{"tables": [{"name": "hospital", "mentions": ["hospital", "doctor"],
        "columns": [{"name": "department", "kind": "name"}, {"name": "phone", "ask": false},
                    {"name": "address", "default": "1 Hill Road", "ask": false}],
        "rows": [{"department": "switchboard", "phone": "0122300000"}]}]}"#;
    let path = folder.path().join("hospital.sqlite");
    import(&files, Some(serde_json::from_str(schema).unwrap()), &path).unwrap();
    let database = Database::open_beside(&path).unwrap();
    (folder, database)
}

#[test]
fn a_table_without_states_is_asked_for_where_people_mention_it() {
    let (_folder, database) = hospital();
    let mut grounder = Grounder::new(&database).unwrap();
    let dialogue = |turns: &[&str]| {
        let turns = turns.iter().enumerate().map(|(at, text)| match at % 2 {
            0 => Turn::user(*text),
            _ => Turn::assistant(*text),
        });
        Dialogue::new("d", turns.collect())
    };
    let asked = dialogue(&[
        "is there a hospital here ?",
        "yes , at 1 hill road , phone 0122300000 .",
        "has it a paediatric clinic ?",
        "its number is 0122300010 .",
    ]);
    let grounded = grounder.ground_mentioned(&asked).unwrap().unwrap();
    let calls = |turn: usize| -> Vec<String> {
        let lookups = &grounded.turns[turn].lookups;
        lookups.iter().map(|lookup| lookup.call.table_values().unwrap().1[0].1.to_owned()).collect()
    };
    // The schema's row stands before the file's.
    assert_eq!((calls(1), calls(3)), (vec!["any".to_owned()], vec!["paediatric clinic".to_owned()]));
    assert_eq!(grounded.turns[1].text, "yes , at {hospital.address} , phone {hospital.phone} .");
    assert_eq!(grounded.turns[3].text, "its number is {hospital.phone} .");
    // Nobody mentions it; and a reply that tells nothing of it.
    assert_eq!(grounder.ground_mentioned(&dialogue(&["a room, please", "for when ?"])).unwrap(), None);
    let taxi = dialogue(&["a taxi to the hospital", "where do you leave from ?"]);
    assert_eq!(grounder.ground_mentioned(&taxi).unwrap(), None);
    assert_eq!(grounder.report().dialogues, 1, "those left out are not counted");
}

/// The dialogue above in MultiWOZ 2.2's form, its beginning.
const GUIDED: &str = r#"[{"dialogue_id":"d1","services":["hotel","taxi"],"turns":[
 {"speaker":"USER","utterance":"a place to stay in the north with 4 stars","frames":[
   {"service":"hotel","state":{"slot_values":{"hotel-area":["north"],"hotel-stars":["4"]}}},
   {"service":"taxi","state":{"slot_values":{}}}]},
 {"speaker":"SYSTEM","utterance":"there is 1 : acorn guesthouse .","frames":[]},
 {"speaker":"USER","utterance":"book it for 2 people on sunday","frames":[
   {"service":"hotel","state":{"slot_values":{"hotel-area":["north"],"hotel-stars":["4"],
     "hotel-bookpeople":["2"],"hotel-bookday":["sunday","on sunday"]}}}]},
 {"speaker":"SYSTEM","utterance":"booked , the reference number is 7gawk763 ."}]}]"#;

#[test]
fn frames_of_schema_guided_files_are_states() {
    let town = Town::new();
    let database = town.database();
    let path = town.folder.path().join("guided.json");
    std::fs::write(&path, GUIDED).unwrap();
    let mut grounder = Grounder::new(&database).unwrap();
    let dialogue = grounder.ground(&read_states(&path).unwrap()[0]).unwrap();
    let asked =
        |turn: usize, nth: usize| dialogue.turns[turn].lookups[nth].call.table_values().unwrap().1.clone();
    assert_eq!(asked(1, 0), [("area", "north"), ("stars", "4")]);
    let noted = [("area", "north"), ("stars", "4"), ("book people", "2"), ("book day", "sunday")];
    assert_eq!(asked(3, 0), noted);
    assert_eq!(dialogue.turns[3].lookups[1].said(), "booked");
    // A service without its own name in its slots.
    let services = GUIDED.replace("\"hotel-", "\"");
    std::fs::write(&path, services).unwrap();
    assert_eq!(read_states(&path).unwrap()[0].turns[0].state.as_ref().unwrap()["hotel-area"], "north");
    for (text, expected) in
        [("[{}]", "missing field"), (r#"[{"dialogue_id":"x","turns":[]}]"#, "no frame has a state")]
    {
        std::fs::write(&path, text).unwrap();
        let error = read_states(&path).unwrap_err().to_string();
        assert!(error.contains("guided.json") && error.contains(expected), "{error}");
    }
}
