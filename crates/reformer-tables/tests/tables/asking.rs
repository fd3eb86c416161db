//! Questions to a database: what people write, what they mean, and what they must not be able to do.

use reformer_tables::{Database, Schema, TablesError, import};
use rusqlite::Connection;

use crate::town::{Town, names, schema, table};

#[test]
fn values_match_as_people_write_them() {
    let town = Town::new();
    let database = town.database();
    for (column, value, expected) in [
        ("name", "acorn guesthouse", 1),
        ("name", "The ACORN", 1),
        ("name", "wartworth", 1),
        ("name", "st johns lodge", 1),
        ("name", "ritz", 0),
        ("type", "Guest House", 2),
        ("type", "true", 2),
        ("area", "north|east", 3),
        ("area", "do not care", 4),
        ("stars", "4", 2),
        ("parking", "no", 1),
    ] {
        assert_eq!(names(&database, "hotel", &[(column, value)]).len(), expected, "{column} {value}");
    }
}

#[test]
fn times_are_before_and_after_and_the_nearest_comes_first() {
    let town = Town::new();
    let database = town.database();
    let ely = ("destination", "ely");
    assert_eq!(names(&database, "train", &[ely, ("leaveat", "9:00")]), ["TR3", "TR2"]);
    assert_eq!(names(&database, "train", &[ely, ("arriveby", "11:00")]), ["TR3", "TR1"]);
    assert_eq!(names(&database, "train", &[("arriveby", "24:50"), ("destination", "norwich")]), ["TR4"]);
}

#[test]
fn hostile_values_are_values() {
    let town = Town::new();
    let database = town.database();
    for value in [
        "'; DROP TABLE hotel; --",
        "\" OR 1=1 --",
        "%",
        "_",
        "\0",
        "?1",
        "{hotel.name}",
        &"x".repeat(1 << 20),
    ] {
        for column in ["area", "name", "stars", "parking"] {
            let found = names(&database, "hotel", &[(column, value)]);
            assert!(found.len() <= 1, "{column} {value:.20}: {found:?}");
        }
    }
    assert_eq!(names(&database, "hotel", &[]).len(), 4);
    // It is a name like another.
    assert_eq!(names(&database, "hotel", &[("name", "o'hara'; DROP TABLE hotel; --")]).len(), 1);
}

#[test]
fn a_missing_a_foreign_and_a_locked_database_are_told_apart() {
    let town = Town::new();
    let error = Database::open_beside(&town.folder.path().join("none.sqlite")).unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains("none.sqlite"), "{error}");
    let text = town.folder.path().join("text.sqlite");
    std::fs::write(&text, "not a database, but long enough to look at: ".repeat(40)).unwrap();
    let error = Database::open(&text, schema()).unwrap_err().to_string();
    assert!(error.contains("text.sqlite") && error.contains("`reformer data tables`"), "{error}");

    let database = town.database();
    let other = Connection::open(&town.path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = database.select(table(&database, "hotel"), &[]).unwrap_err().to_string();
    assert!(error.contains("locked") && error.contains("close that program or wait"), "{error}");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(names(&database, "hotel", &[]).len(), 4);
}

#[test]
fn a_table_or_column_that_the_database_lacks_is_named_when_it_is_opened() {
    let town = Town::new();
    let mut schema = schema();
    schema.tables[0].name = "spa".to_owned();
    let error = Database::open(&town.path, schema).unwrap_err();
    assert!(matches!(error, TablesError::Malformed { .. }), "{error}");
    assert!(error.to_string().contains("the table spa is not as the schema has it"), "{error}");
}

#[test]
fn what_another_program_writes_while_we_chat_is_seen() {
    let town = Town::new();
    let database = town.database();
    assert_eq!(names(&database, "hotel", &[("area", "west")]).len(), 1);
    let other = Connection::open(&town.path).unwrap();
    other.execute("DELETE FROM hotel WHERE area = 'west'", []).unwrap();
    assert_eq!(names(&database, "hotel", &[("area", "west")]).len(), 0);
    other.execute("DROP TABLE hotel", []).unwrap();
    let error = database.select(table(&database, "hotel"), &[("area", "north")]).unwrap_err().to_string();
    assert!(error.contains("no such table: hotel"), "{error}");
}

#[test]
fn of_a_million_rows_the_count_is_right_and_the_answer_short() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.sqlite");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE thing (name, colour);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
             INSERT INTO thing SELECT 'thing ' || i, CASE i % 4 WHEN 0 THEN 'Red' ELSE 'blue' END FROM n;",
        )
        .unwrap();
    let schema: Schema = serde_json::from_str(
        r#"{"tables": [{"name": "thing", "columns": [{"name": "name", "kind": "name"}, {"name": "colour"}]}]}"#,
    )
    .unwrap();
    let database = Database::open(&path, schema).unwrap();
    let answer = database.select(table(&database, "thing"), &[("colour", "red")]).unwrap();
    assert_eq!((answer.count, answer.rows.len()), (250_000, 50));
}

#[test]
fn a_folder_of_files_is_a_database_without_a_schema_too() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("bar.csv"), "name,area\nBlue Note,east\n").unwrap();
    std::fs::write(files.join("notes.txt"), "ignored").unwrap();
    let out = folder.path().join("bars.sqlite");
    let imported = import(&files, None, &out).unwrap();
    assert_eq!(imported.rows, [("bar".to_owned(), 1)]);
    let database = Database::open_beside(&out).unwrap();
    assert_eq!(names(&database, "bar", &[("name", "blue note"), ("area", "East")]), ["Blue Note"]);
}

#[test]
fn a_broken_file_or_schema_leaves_the_database_that_was_there() {
    let town = Town::new();
    let files = town.folder.path().join("files");
    for (file, text, expected) in [
        ("hotel.json", "[{\"name\": \"x\"}, 3]", "row 2 is no object"),
        ("hotel.json", "[{", "hotel.json"),
        ("timetable.csv", "a,b\n1\n", "timetable.csv"),
    ] {
        let before = std::fs::read(files.join(file)).unwrap();
        std::fs::write(files.join(file), text).unwrap();
        let error = import(&files, Some(schema()), &town.path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        std::fs::write(files.join(file), before).unwrap();
        assert_eq!(names(&town.database(), "hotel", &[]).len(), 4);
    }
    std::fs::remove_file(files.join("timetable.csv")).unwrap();
    let error = import(&files, Some(schema()), &town.path).unwrap_err().to_string();
    assert!(error.contains("no file for the table train"), "{error}");
}

#[test]
fn a_schema_that_contradicts_itself_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.schema.json");
    for (text, expected) in [
        ("{", "x.schema.json"),
        (r#"{"tables": [{"name": "a.b", "columns": [{"name": "x"}]}]}"#, "no name of a table"),
        (r#"{"tables": [{"name": "a", "columns": []}]}"#, "has no columns"),
        (r#"{"tables": [{"name": "a", "columns": [{"name": "x"}, {"name": "x"}]}]}"#, "there twice"),
        (r#"{"tables": [{"name": "a", "columns": [{"name": "count"}]}]}"#, "a word of its own"),
        (r#"{"tables": [{"name": "a", "columns": [{"name": "x"}], "shown": ["y"]}]}"#, "shows the column y"),
        (r#"{"tables": [{"name": "a", "colums": []}]}"#, "unknown field `colums`"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Schema::load(&path).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("x.schema.json"), "{error}");
    }
}
