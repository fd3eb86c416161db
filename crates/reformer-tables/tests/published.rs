//! Inform and Success of seven published systems, from the public evaluator's own prediction files. Run by
//! `cargo xtask ci --data`: needs `multiwoz/` in the data folder, and a checkout of
//! github.com/Tomiinek/MultiWOZ_Evaluation, named by `REFORMER_EVALUATOR`, by default `multiwoz/evaluator` in it.
//!
//! The evaluator's file of goals is too large for its repository; goals made from the corpus stand in for it, and its
//! own Python scores with them what is expected here.

use std::path::PathBuf;

use reformer_tables::evaluate::goals::{read_booked, read_goals};
use reformer_tables::evaluate::predictions::Predictions;
use reformer_tables::evaluate::success::inform_and_success;
use reformer_tables::evaluate::venues::Venues;
use reformer_tables::{Database, Schema, import};

/// Every column that the evaluator's database has.
const SCHEMA: &str = r#"{"tables": [
  {"name": "restaurant", "from": "restaurant_db", "columns": [{"name": "name"}, {"name": "area"}, {"name": "food"},
    {"name": "pricerange"}, {"name": "type"}, {"name": "address"}, {"name": "phone"}, {"name": "postcode"}]},
  {"name": "hotel", "from": "hotel_db", "columns": [{"name": "name"}, {"name": "area"}, {"name": "pricerange"},
    {"name": "type"}, {"name": "stars"}, {"name": "internet"}, {"name": "parking"}, {"name": "address"},
    {"name": "phone"}, {"name": "postcode"}]},
  {"name": "attraction", "from": "attraction_db", "columns": [{"name": "name"}, {"name": "area"},
    {"name": "pricerange"}, {"name": "type"}, {"name": "entrance fee"}, {"name": "address"}, {"name": "phone"},
    {"name": "postcode"}]},
  {"name": "train", "from": "train_db", "columns": [{"name": "departure"}, {"name": "destination"}, {"name": "day"},
    {"name": "leaveat", "from": "leaveAt"}, {"name": "arriveby", "from": "arriveBy"},
    {"name": "trainid", "from": "trainID"}, {"name": "price"}, {"name": "duration"}]}]}"#;

fn data(name: &str) -> PathBuf {
    let folder = std::env::var_os("REFORMER_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    folder.join(name)
}

fn evaluator(name: &str) -> PathBuf {
    std::env::var_os("REFORMER_EVALUATOR")
        .map_or_else(|| data("multiwoz/evaluator"), PathBuf::from)
        .join(name)
}

#[test]
#[ignore = "needs multiwoz/ in the data folder, and a checkout of MultiWOZ_Evaluation (REFORMER_EVALUATOR)"]
fn published_predictions_score_what_the_public_evaluator_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("city.sqlite");
    import(&data("multiwoz/db"), Some(serde_json::from_str::<Schema>(SCHEMA).unwrap()), &path).unwrap();
    let venues = Venues::of(&Database::open_beside(&path).unwrap()).unwrap();
    let goals = read_goals(&data("multiwoz/test_goals.json.gz")).unwrap();
    let booked = read_booked(&evaluator("mwzeval/data/booked_domains.json")).unwrap();
    // Inform and Success: in all, attraction, hotel, restaurant, taxi, train.
    for (name, inform, success) in [
        (
            "damd",
            ["59.6", "71.2", "52.7", "75.7", "100.0", "88.7"],
            ["48.9", "46.0", "41.0", "49.4", "48.7", "61.5"],
        ),
        (
            "labes",
            ["70.0", "78.6", "70.4", "78.0", "100.0", "92.2"],
            ["59.4", "54.4", "60.1", "57.0", "64.1", "71.9"],
        ),
        (
            "augpt",
            ["76.9", "87.1", "74.6", "82.6", "100.0", "97.8"],
            ["60.8", "60.1", "59.6", "61.3", "71.3", "80.0"],
        ),
        (
            "mintl",
            ["74.5", "77.8", "77.1", "84.9", "100.0", "93.9"],
            ["66.2", "58.6", "66.7", "66.8", "74.4", "76.3"],
        ),
        (
            "ubar",
            ["84.3", "92.4", "83.8", "89.9", "100.0", "94.3"],
            ["71.2", "71.7", "69.8", "74.6", "77.4", "82.8"],
        ),
        (
            "pptod",
            ["83.9", "88.9", "83.0", "92.0", "100.0", "94.7"],
            ["73.4", "67.4", "74.6", "80.3", "78.5", "83.0"],
        ),
        (
            "galaxy-e2e",
            ["86.3", "93.4", "82.2", "92.0", "100.0", "97.2"],
            ["76.5", "74.2", "75.1", "80.3", "81.0", "87.5"],
        ),
    ] {
        let predictions = Predictions::read(&evaluator(&format!("predictions/{name}.json"))).unwrap();
        let rates = inform_and_success(&predictions, &venues, &goals, &booked);
        assert!(rates.unscored.is_empty(), "{name}: {:?}", rates.unscored);
        assert_eq!(rates.domains.len(), 5);
        let all = || std::iter::once(&rates.total).chain(rates.domains.values().map(|domain| &domain.rate));
        assert_eq!(all().map(|rate| format!("{:.1}", rate.inform)).collect::<Vec<_>>(), inform, "{name}");
        assert_eq!(all().map(|rate| format!("{:.1}", rate.success)).collect::<Vec<_>>(), success, "{name}");
    }
}
