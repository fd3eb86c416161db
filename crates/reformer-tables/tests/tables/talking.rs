//! A conversation over tables: calls, right and wrong, and replies that are filled from what was found.

use reformer_tables::{Bookings, Lookups, Schema, Talk};
use reformer_text::{Call, Lookup, Turn};

use crate::town::{Town, schema};

fn call(tool: &str, table: &str, values: &[(&str, &str)]) -> Call {
    Call::of_table(tool, table, values.iter().copied())
}

struct Host {
    town: Town,
    talk: Talk,
    turns: Vec<Turn>,
    bookings: Bookings,
}

impl Host {
    fn new() -> Self {
        Self {
            town: Town::new(),
            talk: Talk::default(),
            turns: Vec::new(),
            bookings: Bookings::in_memory().unwrap(),
        }
    }

    fn run(&mut self, call: Call) -> Lookup {
        let database = self.town.database();
        let lookup = match call.tool.as_str() {
            "book" => self.talk.book(&database, &mut self.bookings, &call),
            _ => self.talk.look_up(&database, &call),
        };
        self.turns.push(Turn { lookups: vec![lookup.clone()], ..Turn::assistant("") });
        // Whatever happened, the turns alone tell it.
        assert_eq!(Talk::replay(&self.turns), self.talk);
        lookup
    }

    fn look_up(&mut self, table: &str, values: &[(&str, &str)]) -> String {
        self.run(call("lookup", table, values)).said()
    }

    fn book(&mut self, table: &str, values: &[(&str, &str)]) -> String {
        self.run(call("book", table, values)).said()
    }
}

#[test]
fn a_result_tells_the_count_and_the_shown_columns_and_a_reply_is_filled_from_its_rows() {
    let mut host = Host::new();
    assert_eq!(host.look_up("hotel", &[("area", "north")]), "2 ; north ; 4");
    let said = "there are {hotel.count} : {hotel.name} and {hotel.name.2} , {hotel.phone} .";
    let filled = "there are 2 : the Acorn Guest House and Saint John's Lodge , 01223353888 .";
    assert_eq!(host.talk.fill(said), filled);
}

#[test]
fn what_nothing_explains_is_said_in_words_and_never_made_up() {
    let mut host = Host::new();
    assert_eq!(host.talk.fill("try {hotel.name} ."), "try (no hotel name known) .");
    host.look_up("hotel", &[("area", "south")]);
    assert_eq!(host.talk.fill("{hotel.count} : {hotel.name.3}"), "0 : (no hotel name known)");
    assert_eq!(
        host.talk.fill("{hotel} {.} {hotel.name.0} { }"),
        "(no hotel known) {.} (no hotel name known) { }"
    );
}

#[test]
fn the_same_question_again_asks_for_another_row_and_a_narrower_one_keeps_the_row_at_hand() {
    let mut host = Host::new();
    let name = |host: &Host| host.talk.fill("{hotel.name}");
    host.look_up("hotel", &[("area", "north")]);
    assert_eq!(name(&host), "the Acorn Guest House");
    host.look_up("hotel", &[("area", "north")]);
    assert_eq!(name(&host), "Saint John's Lodge");
    host.look_up("hotel", &[("area", "north"), ("book day", "monday")]);
    assert_eq!(name(&host), "Saint John's Lodge");
    host.look_up("hotel", &[("area", "north"), ("book day", "monday")]);
    host.look_up("hotel", &[("area", "north"), ("stars", "4")]);
    assert_eq!(name(&host), "the Acorn Guest House");
}

#[test]
fn a_booking_takes_the_row_at_hand_and_what_was_noted_and_its_reference_can_be_told_again() {
    let mut host = Host::new();
    host.look_up("hotel", &[("area", "east"), ("book people", "2"), ("book day", "sunday")]);
    assert_eq!(host.book("hotel", &[]), "booked");
    let booked = host.bookings.list().unwrap();
    assert_eq!((booked.len(), booked[0].title.as_str()), (1, "warkworth house"));
    let told = host.talk.fill("{hotel.reference} on {hotel.book day} for {hotel.book people}");
    assert_eq!(told, format!("{} on sunday for 2", booked[0].reference));
}

#[test]
fn a_taxi_goes_to_the_hotel_at_hand_and_the_next_one_is_another_car() {
    let mut host = Host::new();
    host.look_up("hotel", &[("area", "east")]);
    host.look_up("taxi", &[("destination", "{hotel.name}"), ("leaveat", "9:00")]);
    assert_eq!(host.talk.fill("{taxi.destination}"), "warkworth house");
    assert_eq!(host.book("taxi", &[]), "booked");
    assert_eq!(host.talk.fill("{taxi.type} {taxi.phone}"), "red volvo 0700000001");
    assert_eq!(host.book("taxi", &[]), "booked");
    assert_eq!(host.talk.fill("{taxi.type}"), "blue honda");
}

#[test]
fn a_train_for_three_has_a_price_in_all() {
    let mut host = Host::new();
    host.look_up("train", &[("destination", "norwich"), ("book people", "3")]);
    assert_eq!(host.talk.fill("{train.price} each, {train.total}"), "10.10 pounds each, 30.30 pounds");
}

#[test]
fn wrong_and_impossible_calls_are_results_and_the_conversation_goes_on() {
    let mut host = Host::new();
    for (tool, table, values, expected) in [
        ("lookup", "spa", &[][..], "no table spa; there are hotel, train, taxi"),
        ("lookup", "hotel", &[("colour", "red")][..], "no column colour in hotel"),
        ("lookup", "hotel", &[("phone", "1")][..], "no column phone in hotel"),
        ("lookup", "taxi", &[("destination", "{hotel.name}")][..], "{hotel.name} is not known yet"),
        ("book", "hotel", &[("area", "north")][..], "book people is not known"),
        ("book", "taxi", &[("destination", "ely")][..], "time is not known"),
        (
            "book",
            "hotel",
            &[("area", "mars"), ("book people", "1"), ("book day", "x")][..],
            "no hotel meets the wishes",
        ),
    ] {
        let said = host.run(call(tool, table, values)).said();
        assert!(said.starts_with("not possible") && said.contains(expected), "{said}");
    }
    let odd = Call { tool: "lookup".to_owned(), arguments: serde_json::Map::new() };
    assert!(host.run(odd).said().contains("asks no table and columns"));
    assert_eq!(host.look_up("hotel", &[("area", "north")]), "2 ; north ; 4");
    assert_eq!(host.bookings.list().unwrap().len(), 0);
}

#[test]
fn a_full_slot_says_so_and_the_conversation_keeps_its_earlier_reference() {
    let mut host = Host::new();
    let wishes = [("area", "east"), ("book people", "2"), ("book day", "sunday")];
    host.look_up("hotel", &wishes);
    assert_eq!((host.book("hotel", &[]).as_str(), host.book("hotel", &[]).as_str()), ("booked", "booked"));
    let before = host.talk.fill("{hotel.reference}");
    assert_eq!(host.book("hotel", &[]), "not possible : no room");
    assert_eq!(host.talk.fill("{hotel.reference}"), before);
}

#[test]
fn a_wish_that_names_something_unknown_is_left_out_of_a_lookup_and_missed_by_its_booking() {
    let town = Town::new();
    let database = town.database();
    let (mut bookings, mut talk) = (Bookings::in_memory().unwrap(), Talk::default());
    let wishes = [("area", "east"), ("book people", "{train.book people}"), ("book day", "sunday")];
    let lookup = talk.look_up(&database, &Call::of_table("lookup", "hotel", wishes));
    assert_eq!(lookup.said(), "1 ; east ; 4");
    let known: Vec<_> = talk.about("hotel").unwrap().wishes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(known, ["area", "book day"]);
    let booked = talk.book(&database, &mut bookings, &Call::of_table("book", "hotel", []));
    assert_eq!(booked.said(), "not possible : book people is not known");
}

#[test]
fn where_the_schema_wants_changes_a_lookup_is_laid_over_the_wishes_so_far_until_something_is_booked() {
    let town = Town::new();
    let mut schema = schema();
    schema.lookups = Lookups::Changes;
    schema.save(&Schema::path_beside(&town.path)).unwrap();
    let (database, mut talk, mut bookings) =
        (town.database(), Talk::default(), Bookings::in_memory().unwrap());
    let wishes = |talk: &Talk| {
        let spelled =
            talk.about("hotel").unwrap().wishes.iter().map(|(name, value)| format!("{name} {value}"));
        spelled.collect::<Vec<_>>().join(", ")
    };
    let ask = |values: &[(&str, &str)]| call("lookup", "hotel", values);
    talk.look_up(&database, &ask(&[("stars", "4")]));
    talk.look_up(&database, &ask(&[("area", "north")]));
    assert_eq!(wishes(&talk), "area north, stars 4");
    // A name says which row; the next wish may be another row's.
    talk.look_up(&database, &ask(&[("name", "saint john's lodge"), ("stars", "3")]));
    assert_eq!(wishes(&talk), "area north, stars 3, name saint john's lodge");
    talk.look_up(&database, &ask(&[("stars", "4")]));
    assert_eq!(wishes(&talk), "area north, stars 4");
    let booked = call("book", "hotel", &[("book people", "2"), ("book day", "sunday")]);
    assert_eq!(talk.book(&database, &mut bookings, &booked).said(), "booked");
    // What is looked for after a booking is something new; who comes when is not.
    talk.look_up(&database, &ask(&[("area", "east")]));
    assert_eq!(wishes(&talk), "area east, book people 2, book day sunday");
}

#[test]
fn after_a_booking_without_room_another_day_is_enough() {
    let town = Town::new();
    let (database, mut talk, mut bookings) =
        (town.database(), Talk::default(), Bookings::in_memory().unwrap());
    talk.look_up(&database, &call("lookup", "hotel", &[("stars", "3")]));
    let on = |day| call("book", "hotel", &[("book people", "2"), ("book day", day)]);
    for _ in 0..2 {
        assert_eq!(talk.book(&database, &mut bookings, &on("sunday")).said(), "booked");
    }
    assert_eq!(talk.book(&database, &mut bookings, &on("sunday")).said(), "not possible : no room");
    let other = call("book", "hotel", &[("book day", "monday")]);
    assert_eq!(talk.book(&database, &mut bookings, &other).said(), "booked");
    assert_eq!(talk.fill("{hotel.book people} on {hotel.book day}"), "2 on monday");
    let listed = talk.fill("{bookings}");
    assert_eq!(listed.matches("hotel Saint John's Lodge (reference ").count(), 3, "{listed}");
    assert_eq!(Talk::default().fill("{bookings}"), "nothing yet");
}
