//! The corpus of the project's own making: the same everywhere, and worth learning from.

use std::collections::HashSet;

use reformer_text::{Role, Summary, demo};

#[test]
fn a_dialogue_depends_on_seed_and_number_only() {
    let few = demo::dialogues(7, 3);
    assert_eq!(few[..], demo::dialogues(7, 10)[..3]);
    assert_ne!(few, demo::dialogues(8, 3));
    // FNV-1a over the text of a hundred: the same on every platform and in every release, because recipes
    // and published numbers refer to it.
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for turn in demo::dialogues(1, 100).iter().flat_map(|dialogue| &dialogue.turns) {
        for byte in turn.text.bytes().chain([turn.role as u8]) {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    assert_eq!(format!("{digest:016x}"), "5a29b134a9f7a1c4");
}

#[test]
fn turns_alternate_from_a_user_to_a_polite_end() {
    for dialogue in demo::dialogues(1, 500) {
        let turns = &dialogue.turns;
        assert!(turns.len() >= 4 && turns.len() % 2 == 0, "{}", dialogue.id);
        for (at, turn) in turns.iter().enumerate() {
            let role = if at % 2 == 0 { Role::User } else { Role::Assistant };
            assert_eq!(turn.role, role, "{} turn {at}", dialogue.id);
            assert!(role == Role::Assistant || !turn.text.contains(['{', '}']));
            assert!(!turn.text.is_empty() && !turn.text.contains('\n'));
        }
        let last = &turns[turns.len() - 1].text;
        assert!(last.contains("welcome") || last.contains("goodbye"), "{last}");
    }
}

#[test]
fn what_is_recalled_was_booked_before_and_names_and_numbers_are_placeholders() {
    let mut recalled = 0;
    for dialogue in demo::dialogues(1, 300) {
        let mut booked = HashSet::new();
        for turn in &dialogue.turns {
            let calls = turn.lookups.iter().filter(|lookup| lookup.call.tool == "book");
            booked.extend(calls.filter_map(|lookup| Some(lookup.call.table_values()?.0.to_owned())));
            if turn.role == Role::User {
                continue;
            }
            assert!(!turn.text.contains(|c: char| c.is_ascii_digit() && c != '2'), "{}", turn.text);
            let Some((_, rest)) = turn.text.split_once("The reference number for ") else { continue };
            let table = rest.split(['{', '.']).nth(1).unwrap();
            assert!(booked.contains(table), "{}: {}", dialogue.id, turn.text);
            recalled += 1;
        }
    }
    assert!(recalled > 50, "{recalled}");
}

#[test]
fn requests_begin_with_every_domain_in_turn_and_people_change_their_minds_in_them() {
    let requests = demo::requests(1, 200);
    for (number, request) in requests.iter().enumerate() {
        assert_eq!(request.domains[0], ["restaurant", "hotel", "train", "taxi"][number % 4]);
    }
    let said = |words: &str| {
        let all = requests.iter().flat_map(|request| &request.turns);
        all.filter(|turn| turn.role == Role::User && turn.text.to_lowercase().contains(words)).count()
    };
    for words in ["actually", "again", "instead", "same"] {
        assert!(said(words) >= 5, "{words}: {}", said(words));
    }
}

#[test]
fn places_are_asked_for_by_every_attribute_that_they_have() {
    let dialogues = demo::dialogues(1, 6000);
    let said = |words: &[&str]| {
        let all = |turn: &reformer_text::Turn| {
            let text = turn.text.to_lowercase();
            turn.role == Role::User && words.iter().all(|word| text.contains(word))
        };
        dialogues.iter().filter(|dialogue| dialogue.turns.iter().any(all)).count()
    };
    for words in [
        &["cheap", "restaurant", "centre"][..],
        &["restaurant", "in the centre"],
        &["expensive", "restaurant"],
        &["cheap", "hotel"],
        &["moderately priced"],
        &["star"],
        &["parking"],
        &["italian"],
        &["phone number"],
        &["address"],
        &["price range"],
    ] {
        assert!(said(words) >= 20, "{words:?}: {} dialogues", said(words));
    }
    // The reply to such a wish is about restaurants.
    let mut answered = 0;
    for dialogue in &dialogues {
        for two in dialogue.turns.windows(2) {
            let asked = two[0].text.to_lowercase();
            if two[0].role == Role::User && asked.contains("cheap restaurant in the centre") {
                assert!(!two[1].text.to_lowercase().contains("hotel"), "{}", two[1].text);
                answered += 1;
            }
        }
    }
    assert!(answered >= 5, "{answered}");
}

#[test]
fn the_vocabulary_is_small_and_the_splits_do_not_overlap() {
    let (train, valid) = demo::split();
    let summary = Summary::of(&train);
    assert!((3_000_000..10_000_000).contains(&summary.bytes), "{}", summary.bytes);
    assert_eq!(summary.domains.len(), 4);
    let words: HashSet<String> = train
        .iter()
        .flat_map(|dialogue| &dialogue.turns)
        .flat_map(|turn| turn.text.split(|c: char| !c.is_alphabetic()))
        .filter(|word| word.len() > 2)
        .map(str::to_lowercase)
        .collect();
    assert!((250..500).contains(&words.len()), "{}", words.len());
    let text = |dialogue: &reformer_text::Dialogue| format!("{:?}", dialogue.turns);
    let seen: HashSet<String> = train.iter().map(text).collect();
    let repeated = valid.iter().filter(|dialogue| seen.contains(&text(dialogue))).count();
    assert!(repeated * 100 <= valid.len(), "{repeated} of {}", valid.len());
}
