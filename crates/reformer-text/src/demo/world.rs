//! The small town that the dialogues are about, as tables. Its rows are the same in every dialogue; who comes when, and
//! what is booked, is not.

use std::sync::LazyLock;

/// A table: the town's rows, each with a value for every column.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [&'static str],
    pub(super) rows: Vec<Vec<String>>,
}

/// The column that a train is looked for by from a time on.
pub(super) const LEAVES: &str = "leaves";

impl Table {
    /// A row's value.
    pub(super) fn value(&self, row: usize, column: &str) -> &str {
        let at = self.columns.iter().position(|name| *name == column);
        &self.rows[row][at.unwrap_or_else(|| panic!("{} has no column {column}", self.name))]
    }

    /// The rows that meet the wishes, in order; wishes of other names than columns are no constraint.
    pub(super) fn select(&self, wishes: &[(&'static str, String)]) -> Vec<usize> {
        let asked = |name: &str| self.columns.contains(&name);
        let meets = |row: usize, (name, value): &(&'static str, String)| match *name {
            // Clocks sort as text does.
            LEAVES => self.value(row, LEAVES) >= value.as_str(),
            name => self.value(row, name) == value,
        };
        let wishes: Vec<_> = wishes.iter().filter(|(name, _)| asked(name)).collect();
        (0..self.rows.len()).filter(|&row| wishes.iter().all(|wish| meets(row, wish))).collect()
    }
}

/// All tables, in the order in which a summary lists them.
pub(super) static TABLES: LazyLock<[Table; 4]> =
    LazyLock::new(|| [restaurants(), hotels(), trains(), taxis()]);

/// The table of this name.
pub(super) fn table(name: &str) -> &'static Table {
    TABLES.iter().find(|table| table.name == name).unwrap_or_else(|| panic!("no table {name}"))
}

fn of(name: &'static str, columns: &'static [&'static str], rows: &str) -> Table {
    let cells = |line: &str| line.split(',').map(|cell| cell.trim().to_owned()).collect();
    Table { name, columns, rows: rows.lines().filter(|line| !line.trim().is_empty()).map(cells).collect() }
}

/// Two of every food, in different areas: food and area name one.
fn restaurants() -> Table {
    of(
        "restaurant",
        &["name", "food", "area", "price", "phone", "address"],
        "Casa Luna,Italian,north,cheap,555 0112,3 Mill Street
         Villa Rosso,Italian,centre,expensive,555 0125,18 Market Square
         Spice Garden,Indian,west,cheap,555 0131,7 Canal Road
         Royal Saffron,Indian,centre,moderate,555 0144,25 Market Square
         Jade Palace,Chinese,south,moderate,555 0153,41 Bridge Street
         Red Lantern,Chinese,centre,cheap,555 0166,9 Church Lane
         Chez Margot,French,east,expensive,555 0178,12 Orchard Road
         Petit Jardin,French,south,expensive,555 0183,30 Bridge Street
         Lotus House,Thai,north,moderate,555 0197,16 Mill Street
         Bamboo Corner,Thai,east,cheap,555 0206,5 Harbour Road
         El Toro,Spanish,west,moderate,555 0218,22 Canal Road
         La Paloma,Spanish,south,cheap,555 0229,8 Meadow Lane
         Old Oak,British,north,expensive,555 0234,2 Castle Hill
         Copper Kettle,British,east,moderate,555 0247,14 Orchard Road
         Blue Mosaic,Turkish,west,expensive,555 0252,11 Windmill Lane
         Star Grill,Turkish,centre,cheap,555 0265,6 Church Lane",
    )
}

/// Two in every area, of different price: area and price name one.
fn hotels() -> Table {
    of(
        "hotel",
        &["name", "area", "price", "stars", "parking", "phone", "address"],
        "Park View Hotel,north,moderate,3,yes,555 0311,20 Castle Hill
         Maple Lodge,north,cheap,2,yes,555 0324,4 Mill Street
         Riverside Inn,south,cheap,3,no,555 0337,33 Bridge Street
         Abbey House,south,expensive,5,yes,555 0342,1 Abbey Walk
         Harbour Inn,east,moderate,3,no,555 0356,17 Harbour Road
         Swan Lodge,east,cheap,2,yes,555 0363,10 Orchard Road
         Hilltop Hotel,west,expensive,4,yes,555 0375,28 Windmill Lane
         Garden Court,west,moderate,3,yes,555 0388,15 Canal Road
         Crown Hotel,centre,expensive,5,no,555 0392,1 Market Square
         Station Lodge,centre,cheap,2,no,555 0401,2 Station Road",
    )
}

/// Where all this is, and where every train begins or ends.
pub(super) const HOME: &str = "Linfield";

/// Towns with the minutes that a train takes, and the minute at which it leaves.
pub(super) const TOWNS: [(&str, usize, usize); 6] = [
    ("Ashby", 30, 0),
    ("Brookton", 60, 15),
    ("Carlow", 30, 30),
    ("Denham", 90, 45),
    ("Eastport", 60, 0),
    ("Fairmoor", 90, 30),
];

/// A train every hour from and to each town, the same on every day, in the order in which they leave.
fn trains() -> Table {
    let mut rows = Vec::new();
    for hour in 5..22 {
        for (town, ride, minute) in TOWNS {
            for (from, to) in [(town, HOME), (HOME, town)] {
                let leaves = hour * 60 + minute;
                let number = format!("TR{}", 101 + rows.len());
                let (leaves, arrives) = (super::draw::clock(leaves), super::draw::clock(leaves + ride));
                rows.push(vec![number, from.to_owned(), to.to_owned(), leaves, arrives]);
            }
        }
    }
    Table { name: "train", columns: &["number", "departure", "destination", LEAVES, "arrives"], rows }
}

/// Cars, which take turns.
fn taxis() -> Table {
    let colours = ["black", "white", "red", "blue", "green", "grey"];
    let cars = ["Skoda", "Toyota", "Ford", "Volvo", "Honda"];
    let rows = (0..30).map(|at| {
        let car = format!("{} {}", colours[at % 6], cars[at % 5]);
        vec![car, format!("555 9{}", 101 + 29 * at)]
    });
    Table { name: "taxi", columns: &["car", "phone"], rows: rows.collect() }
}

pub(super) const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// `a cheap`, `an expensive`, `a moderately priced`: the words that people have for a price, each with its article.
pub(super) const PRICES: [(&str, &[&str]); 3] = [
    ("cheap", &["a cheap", "a cheap", "a cheap", "a cheap", "an inexpensive", "an affordable"]),
    ("moderate", &["a moderately priced", "a moderately priced", "a moderately priced", "a mid-priced"]),
    ("expensive", &["an expensive", "an expensive", "an expensive", "a fancy"]),
];
