//! Inform, Success, BLEU and joint goal accuracy on dialogues of a small town, a rule at a time.

use reformer_tables::evaluate::goals::{Booked, Goal, Goals};
use reformer_tables::evaluate::gold::{booked_of, golds, oracle};
use reformer_tables::evaluate::joint::joint;
use reformer_tables::evaluate::predictions::{PredictedTurn, Predictions, State};
use reformer_tables::evaluate::success::{Offer, Outcome, Rates, inform_and_success};
use reformer_tables::evaluate::venues::Venues;
use reformer_tables::evaluate::{Against, active, scores};
use reformer_tables::ground::read_states;
use serde_json::{Value, json};

use crate::town::Town;

fn pairs(object: &Value) -> Vec<(String, String)> {
    let text = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap().to_owned());
    object.as_object().unwrap().iter().map(text).collect()
}

fn state(value: &Value) -> State {
    let domains = value.as_object().unwrap().iter();
    State(domains.map(|(domain, slots)| (domain.clone(), pairs(slots))).collect())
}

/// A turn: what it says, what it believes, what it is about.
fn turn(response: &str, belief: &Value, about: &[&str]) -> PredictedTurn {
    PredictedTurn {
        response: response.to_owned(),
        state: Some(state(belief)),
        active_domains: Some(about.iter().map(|&name| name.to_owned()).collect()),
    }
}

fn goals(domain: &str, informable: &Value, requestable: &[&str]) -> Goals {
    let requestable = requestable.iter().map(|&name| name.to_owned()).collect();
    let goal = Goal { informable: pairs(informable), requestable };
    Goals::from([("d1".to_owned(), vec![(domain.to_owned(), goal)])])
}

/// Scores one dialogue; `booked` is booked from its second turn on.
fn rates(goals: &Goals, turns: Vec<PredictedTurn>, booked: &str) -> Rates {
    let town = Town::new();
    let later = vec![booked.to_owned()];
    let booked = std::iter::once(Vec::new()).chain(std::iter::repeat_n(later, turns.len())).collect();
    let booked = Booked::from([("d1".to_owned(), booked)]);
    let predictions = Predictions(vec![("d1".to_owned(), turns)]);
    inform_and_success(&predictions, &Venues::of(&town.database()).unwrap(), goals, &booked)
}

fn outcome(goals: &Goals, turns: Vec<PredictedTurn>) -> Outcome {
    rates(goals, turns, "hotel").outcomes.remove(0).1
}

#[test]
fn an_offer_is_right_where_all_that_the_state_allows_meets_the_goal() {
    let goal = goals("hotel", &json!({"area": "north", "stars": "4"}), &["PHONE"]);
    for (response, belief, offer) in [
        ("try [hotel_name]", json!({"area": "north", "stars": "4"}), Offer::Right),
        // The state allows a hotel of three stars too.
        ("try [hotel_name]", json!({"area": "north"}), Offer::Wrong),
        ("try [hotel_name]", json!({"area": "north", "stars": "3"}), Offer::Wrong),
        // Without a name nothing is offered, nor where no hotel is like that.
        ("there are [hotel_choice]", json!({"area": "north", "stars": "4"}), Offer::Nothing),
        ("try [hotel_name]", json!({"area": "south"}), Offer::Nothing),
        // No wish at all is a wish for any.
        ("try [hotel_name]", json!({"area": "north", "stars": "4", "parking": "dontcare"}), Offer::Right),
        // A name has to be near: this one finds the hotel in the east, that one none.
        ("try [name]", json!({"name": "wartworth house"}), Offer::Wrong),
        ("try [name]", json!({"name": "zebra inn"}), Offer::Nothing),
    ] {
        let turn = turn(response, &json!({"hotel": belief}), &["hotel"]);
        assert_eq!(outcome(&goal, vec![turn]).0["hotel"].offer, offer, "{response} {belief}");
    }
    let west = goals("hotel", &json!({"area": "west", "stars": "5"}), &[]);
    let unknown = turn("[hotel_name]", &json!({"hotel": {"area": "west"}}), &["hotel"]);
    assert_eq!(outcome(&west, vec![unknown]).0["hotel"].offer, Offer::Right, "its stars are not known");
}

#[test]
fn the_last_offer_counts_unless_it_only_widens_the_one_before() {
    let goal = goals("hotel", &json!({"area": "north", "stars": "4"}), &[]);
    let offer = |belief: Value| turn("try [hotel_name]", &json!({"hotel": belief}), &["hotel"]);
    let (four, north, east) =
        (json!({"area": "north", "stars": "4"}), json!({"area": "north"}), json!({"area": "east"}));
    for (turns, expected) in [
        ([&north, &four], Offer::Right),
        ([&four, &north], Offer::Right),
        ([&four, &east], Offer::Wrong),
        ([&east, &four], Offer::Right),
    ] {
        let turns = turns.into_iter().map(|belief| offer(belief.clone())).collect();
        assert_eq!(outcome(&goal, turns).0["hotel"].offer, expected);
    }
}

#[test]
fn success_is_all_that_was_to_be_told_in_turns_about_the_domain() {
    let goal = goals("hotel", &json!({"area": "east"}), &["PHONE", "REFERENCE"]);
    let belief = json!({"hotel": {"area": "east"}});
    let untold = |responses: [&str; 2], about: &str| {
        let turns = responses.iter().map(|text| turn(text, &belief, &[about])).collect();
        outcome(&goal, turns).0["hotel"].untold.clone()
    };
    assert!(untold(["[hotel_name] [hotel_phone]", "booked: [hotel_reference]"], "hotel").is_empty());
    // A reference before anything is booked is made up.
    assert_eq!(untold(["[hotel_name] [hotel_reference]", "[hotel_phone]"], "hotel"), ["REFERENCE"]);
    assert_eq!(untold(["[hotel_name]", "01223363682, [value_reference]"], "hotel"), ["PHONE"]);
    assert_eq!(untold(["[name]", "[phone] [reference]"], "train"), ["PHONE", "REFERENCE"]);

    let told =
        |text| vec![turn("[hotel_name] [phone]", &belief, &["hotel"]), turn(text, &belief, &["hotel"])];
    let rates = |text, booked| rates(&goal, told(text), booked);
    let [all, none] =
        [("[ref]", "hotel"), ("[ref]", "train")].map(|(text, booked)| rates(text, booked).total);
    assert_eq!((all.inform, all.success, all.dialogues), (100.0, 100.0, 1));
    assert_eq!((none.inform, none.success), (100.0, 0.0));
}

#[test]
fn services_named_venues_and_trains_that_nobody_asks_for_need_no_offer() {
    let silent = || vec![turn("anything else?", &json!({}), &[])];
    for (domain, informable, requestable, expected) in [
        ("taxi", json!({"leaveAt": "09:00"}), &["PHONE"][..], Offer::Right),
        ("police", json!({}), &[], Offer::Right),
        ("hotel", json!({"name": "warkworth house"}), &["POST"], Offer::Right),
        ("hotel", json!({"area": "east"}), &[], Offer::Nothing),
        ("train", json!({"destination": "ely"}), &["REFERENCE"], Offer::Right),
        ("train", json!({"destination": "ely"}), &["TRAINID"], Offer::Nothing),
    ] {
        let outcome = outcome(&goals(domain, &informable, requestable), silent());
        assert_eq!(outcome.0[domain].offer, expected, "{domain}");
        assert_eq!(outcome.0[domain].untold, requestable, "{domain}");
    }
    // A train that was found has to be a right one all the same.
    let goal = goals("train", &json!({"destination": "norwich"}), &[]);
    let ely = turn(
        "[train_trainid] leaves at [train_leaveat]",
        &json!({"train": {"destination": "ely"}}),
        &["train"],
    );
    assert_eq!(outcome(&goal, vec![ely]).0["train"].offer, Offer::Wrong);
}

#[test]
fn trains_leave_at_or_after_and_arrive_at_or_before() {
    let town = Town::new();
    let venues = Venues::of(&town.database()).unwrap();
    let count = |wishes: Value| venues.query("train", &pairs(&wishes)).len();
    assert_eq!(count(json!({"destination": "ely"})), 3);
    assert_eq!(count(json!({"destination": "ely", "leave": "9:30"})), 2);
    assert_eq!(count(json!({"destination": "ely", "leave": "after 9:31"})), 1);
    assert_eq!(count(json!({"destination": "elyy", "arrive": "10:10"})), 2);
    assert_eq!(count(json!({"arrive": "as soon as possible"})), 0, "what is no time is midnight");
    assert_eq!(count(json!({"people": "3"})), 4, "what is no column is no wish");
    assert!(venues.query("hospital", &Vec::new()).is_empty());
}

#[test]
fn the_domain_of_a_turn_is_the_one_whose_state_changed() {
    let believing = |belief: Value| PredictedTurn { state: Some(state(&belief)), ..PredictedTurn::default() };
    let hotel = json!({"area": "north"});
    let turns = [
        believing(json!({})),
        believing(json!({"hotel": hotel})),
        // Nothing changed: it stays.
        believing(json!({"hotel": hotel})),
        // Several changed, not the old one: the one with most slots.
        believing(
            json!({"hotel": hotel, "taxi": {"leave": "9:00"}, "train": {"day": "monday", "people": "2"}}),
        ),
        // Nothing changed after several: the other one of them.
        believing(
            json!({"hotel": hotel, "taxi": {"leave": "9:00"}, "train": {"day": "monday", "people": "2"}}),
        ),
        // Several changed, the old one among them: it stays.
        believing(json!({"hotel": {"area": "east"}, "taxi": {"leave": "9:15"}})),
    ];
    let about: Vec<String> = active::estimated(&turns).iter().map(|names| names.join(" ")).collect();
    assert_eq!(about, ["", "hotel", "hotel", "train", "taxi", "taxi"]);
}

#[test]
fn dialogues_without_a_goal_are_named_and_not_counted() {
    let goal = goals("taxi", &json!({}), &[]);
    let town = Town::new();
    let turns = || vec![turn("hello", &json!({}), &[])];
    let predictions = Predictions(vec![("d1".into(), turns()), ("d2".into(), turns())]);
    let booked = Booked::from([("d1".into(), vec![Vec::new()]), ("d2".into(), vec![Vec::new()])]);
    let rates = inform_and_success(&predictions, &Venues::of(&town.database()).unwrap(), &goal, &booked);
    assert_eq!((rates.total.dialogues, rates.total.inform), (1, 100.0));
    assert_eq!(rates.unscored, ["d2"]);
}

#[test]
fn joint_goal_accuracy_wants_the_whole_belief() {
    let town = Town::new();
    let database = town.database();
    let measure = |ours: Value, gold: Value| {
        let joint = joint(database.schema(), [(&state(&ours), &state(&gold))]);
        (joint.exact > 0.0, joint.near > 0.0)
    };
    let gold = json!({"hotel": {"area": "north", "name": "the acorn guest house", "book day": "sunday", "stars": "dontcare"}});
    let with = |change: Value| {
        let mut ours = gold.clone();
        for (name, value) in change.as_object().unwrap() {
            ours["hotel"][name] = value.clone();
        }
        ours
    };
    assert_eq!(measure(gold.clone(), gold.clone()), (true, true));
    assert_eq!(
        measure(with(json!({"name": "Acorn Guesthouse", "stars": "any"})), gold.clone()),
        (true, false)
    );
    assert_eq!(measure(with(json!({"area": "east"})), gold.clone()), (false, false));
    assert_eq!(measure(with(json!({"parking": "yes"})), gold.clone()), (false, false));
    // That anything will do is a belief; the evaluator takes no notice of it.
    assert_eq!(measure(with(json!({"parking": "dontcare"})), gold.clone()), (false, true));
    assert_eq!(measure(with(json!({"name": "acorn guest house"})), gold.clone()), (true, true));
    // Other versions of the corpus name slots otherwise; of alternatives one is enough.
    let trains = json!({"train": {"leaveat": "09:15", "destination": "ely|norwich", "book people": "2"}});
    assert!(measure(json!({"train": {"leave": "9:15", "destination": "ely", "people": "2"}}), trains).0);
    let joint = joint(database.schema(), [(&state(&json!({"taxi": {"destination": "ely"}})), &state(&gold))]);
    let faults: Vec<_> =
        joint.faults.iter().map(|f| (f.slot.as_str(), f.missing, f.extra, f.other)).collect();
    assert_eq!(faults.len(), 5);
    assert!(faults.contains(&("taxi-destination", 0, 1, 0)) && faults.contains(&("hotel-area", 1, 0, 0)));
}

const DIALOGUE: &str = r#"{"id":"SNG1.json","turns":[
 {"speaker":"user","text":"a place in the north with 4 stars","state":{"hotel-area":"north","hotel-stars":"4"}},
 {"speaker":"system","text":"there is the acorn guest house , its phone is 01223353888 ."},
 {"speaker":"user","text":"book it for 2 people on sunday","state":{"hotel-area":"north","hotel-stars":"4","hotel-book people":"2","hotel-book day":"sunday"}},
 {"speaker":"system","text":"booked . the reference number is 7gawk763 ."},
 {"speaker":"user","text":"thank you .","state":{"hotel-area":"north","hotel-stars":"4","hotel-book people":"2","hotel-book day":"sunday"}},
 {"speaker":"system","text":"goodbye ."}]}"#;

#[test]
fn the_corpus_itself_scores_full_marks_and_a_file_of_predictions_comes_back_as_it_was() {
    let town = Town::new();
    let database = town.database();
    let path = town.folder.path().join("states.jsonl");
    std::fs::write(&path, DIALOGUE.replace('\n', " ")).unwrap();
    let golds = golds(&database, &read_states(&path).unwrap()).unwrap();
    assert_eq!(golds[0].booked, [vec![], vec!["hotel".to_owned()], vec!["hotel".to_owned()]]);
    let predictions = oracle(&golds);
    let json = predictions.to_json();
    assert_eq!(json["sng1"][0]["response"], "there is the [hotel_name] , its phone is [hotel_phone] .");
    assert_eq!(json["sng1"][1]["state"]["hotel"]["book day"], "sunday");
    let file = town.folder.path().join("predictions.json");
    predictions.write(&file).unwrap();
    assert_eq!(Predictions::read(&file).unwrap(), predictions);

    let informable = json!({"area": "north", "stars": "4"});
    let goals =
        Goals::from([("sng1".into(), goals("hotel", &informable, &["PHONE", "REFERENCE"])["d1"].clone())]);
    let booked = booked_of(&golds);
    let against = Against { golds: &golds, goals: Some((&goals, &booked)) };
    let full = scores(&database, &predictions, against).unwrap();
    let joint = full.joint.clone().unwrap();
    assert_eq!((joint.turns, joint.exact, joint.near, joint.slot_f1), (3, 100.0, 100.0, 100.0));
    assert!((full.combined().unwrap() - 200.0).abs() < 1e-9);

    // Beliefs that are not told are the annotated ones, and are not scored.
    let mut silent = predictions;
    silent.0[0].1.iter_mut().for_each(|turn| turn.state = None);
    let scored = scores(&database, &silent, against).unwrap();
    assert_eq!((scored.rates, scored.joint), (full.rates, None));
}

#[test]
fn files_of_another_form_are_refused_with_what_was_expected() {
    let town = Town::new();
    let path = town.folder.path().join("predictions.json");
    for (text, expected) in [
        ("[1]", "no JSON object"),
        ("{", "not JSON"),
        (r#"{"a": 1}"#, "the dialogue a: no list of turns"),
        (r#"{"a": [{"text": "hi"}]}"#, "turn 1: no \"response\""),
        (r#"{"a": [{"response": "hi", "state": {"hotel": 3}}]}"#, "the state of hotel"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Predictions::read(&path).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("predictions.json"), "{error}");
    }
}
