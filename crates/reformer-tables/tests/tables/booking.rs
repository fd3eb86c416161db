//! Bookings: none lost that was told, none twice, and a slot never fuller than it is.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use reformer_tables::{Bookings, Outcome};

use crate::town::{Town, table};

fn details(day: &str) -> Vec<(String, String)> {
    vec![("book people".to_owned(), "2".to_owned()), ("book day".to_owned(), day.to_owned())]
}

#[test]
fn a_slot_is_booked_as_often_as_it_has_room() {
    let town = Town::new();
    let database = town.database();
    let hotel = table(&database, "hotel");
    let rows = database.select(hotel, &[]).unwrap().rows;
    let mut bookings = Bookings::open(&town.folder.path().join("b.sqlite")).unwrap();
    let book =
        |bookings: &mut Bookings, row: usize, day| bookings.book(hotel, &rows[row], &details(day)).unwrap();
    let Outcome::Booked(first) = book(&mut bookings, 0, "monday") else { panic!("full") };
    let Outcome::Booked(second) = book(&mut bookings, 0, "monday") else { panic!("full") };
    assert_ne!(first, second);
    assert_eq!(book(&mut bookings, 0, "monday"), Outcome::Full);
    assert!(matches!(book(&mut bookings, 0, "tuesday"), Outcome::Booked(_)));
    assert!(matches!(book(&mut bookings, 1, "monday"), Outcome::Booked(_)));
    // What is taken back has room again, and its reference is not given a second time.
    assert!(bookings.cancel(&first).unwrap() && !bookings.cancel(&first).unwrap());
    let Outcome::Booked(third) = book(&mut bookings, 0, "monday") else { panic!("full") };
    assert!(third != first && third != second);
    assert_eq!(bookings.list().unwrap().len(), 4);
}

#[test]
fn two_programs_book_the_last_room_once() {
    let town = Town::new();
    let database = town.database();
    let hotel = table(&database, "hotel");
    let row = database.select(hotel, &[]).unwrap().rows.remove(0);
    let path = town.folder.path().join("b.sqlite");
    let booked: usize = std::thread::scope(|scope| {
        let others: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| Bookings::open(&path).unwrap().book(hotel, &row, &details("friday")).unwrap())
            })
            .collect();
        others.into_iter().map(|other| matches!(other.join().unwrap(), Outcome::Booked(_)) as usize).sum()
    });
    assert_eq!(booked, 2);
    assert_eq!(Bookings::open(&path).unwrap().list().unwrap().len(), 2);
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_nothing_is_told() {
    let town = Town::new();
    let database = town.database();
    let hotel = table(&database, "hotel");
    let row = database.select(hotel, &[]).unwrap().rows.remove(0);
    let error = Bookings::open(&town.folder.path().join("none/b.sqlite")).unwrap_err().to_string();
    assert!(error.contains("none/b.sqlite"), "{error}");
    let error = Bookings::open(&town.path).unwrap_err().to_string();
    assert!(error.contains("a database of something else"), "{error}");

    // As full as a disk gets: no page more than there are.
    let path = town.folder.path().join("b.sqlite");
    let mut bookings = Bookings::open(&path).unwrap();
    bookings.limit_pages(0).unwrap();
    let mut told = 0;
    let error = loop {
        match bookings.book(hotel, &row, &details(&format!("{told:0>500}"))) {
            Ok(_) => told += 1,
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("full") && error.contains("make room"), "{error}");
    assert_eq!(Bookings::open(&path).unwrap().list().unwrap().len(), told);
}

#[test]
fn a_read_only_file_is_refused_with_what_to_do() {
    let town = Town::new();
    let database = town.database();
    let hotel = table(&database, "hotel");
    let row = database.select(hotel, &[]).unwrap().rows.remove(0);
    let path = town.folder.path().join("b.sqlite");
    drop(Bookings::open(&path).unwrap());
    // Permissions do not stop a superuser, so the file is opened for reading only instead.
    let mut bookings =
        Bookings::open(std::path::Path::new(&format!("file:{}?mode=ro", path.display()))).unwrap();
    let error = bookings.book(hotel, &row, &details("monday")).unwrap_err().to_string();
    assert!(error.contains("readonly") && error.contains("allow writing"), "{error}");
}

/// The half of the next test that is killed: books until somebody ends it, and tells each reference.
#[test]
fn books_until_it_is_killed() {
    let Some(path) = std::env::var_os("REFORMER_BOOKS_INTO") else { return };
    let town = Town::new();
    let database = town.database();
    let hotel = table(&database, "hotel");
    let row = database.select(hotel, &[]).unwrap().rows.remove(0);
    let mut bookings = Bookings::open(path.as_ref()).unwrap();
    let mut out = std::io::stderr();
    for day in 0..100_000 {
        if let Outcome::Booked(reference) = bookings.book(hotel, &row, &details(&day.to_string())).unwrap() {
            std::io::Write::write_all(&mut out, format!("told {reference}\n").as_bytes()).unwrap();
        }
    }
}

#[test]
fn of_two_hundred_bookings_under_kill_9_none_that_was_told_is_lost_and_none_is_there_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.sqlite");
    let mut told = Vec::new();
    let mut round = 0;
    while told.len() < 200 {
        round += 1;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["booking::books_until_it_is_killed", "--exact", "--nocapture"])
            .env("REFORMER_BOOKS_INTO", &path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // Another number of bookings each time, so that the kill falls elsewhere.
        let mut wanted = 20 + round * 7 % 13;
        for line in lines {
            if let Some(reference) = line.unwrap().strip_prefix("told ") {
                told.push(reference.to_owned());
                wanted -= 1;
            }
            if wanted == 0 {
                child.kill().unwrap();
                // What it told before it died counts too: the loop reads on to the end.
                wanted = usize::MAX;
            }
        }
        child.wait().unwrap();
    }
    let kept: Vec<String> =
        Bookings::open(&path).unwrap().list().unwrap().into_iter().map(|b| b.reference).collect();
    let distinct: std::collections::HashSet<_> = kept.iter().collect();
    assert_eq!(distinct.len(), kept.len(), "none twice");
    assert!(told.iter().all(|reference| distinct.contains(reference)), "none lost");
    // At most one a kill was on the disk and not told yet.
    assert!(kept.len() <= told.len() + round, "{} {}", kept.len(), told.len());
}
