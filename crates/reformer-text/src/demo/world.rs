//! The small town that the dialogues are about. Its facts are the same in every dialogue, so a model can
//! learn them; times, people, references and cars are not, so it has to look them up in the context.

pub(super) struct Restaurant {
    pub(super) name: &'static str,
    pub(super) food: &'static str,
    pub(super) area: &'static str,
    pub(super) price: &'static str,
    pub(super) phone: &'static str,
    pub(super) address: &'static str,
}

pub(super) struct Hotel {
    pub(super) name: &'static str,
    pub(super) area: &'static str,
    pub(super) price: &'static str,
    pub(super) stars: usize,
    pub(super) parking: bool,
    pub(super) phone: &'static str,
    pub(super) address: &'static str,
}

pub(super) struct Town {
    pub(super) name: &'static str,
    /// Minutes by train from [`HOME`].
    pub(super) ride: usize,
}

const fn restaurant(
    name: &'static str,
    food: &'static str,
    area: &'static str,
    price: &'static str,
    phone: &'static str,
    address: &'static str,
) -> Restaurant {
    Restaurant { name, food, area, price, phone, address }
}

/// Two of every food, in different areas: food and area name one.
pub(super) const RESTAURANTS: [Restaurant; 16] = [
    restaurant("Casa Luna", "Italian", "north", "cheap", "555 0112", "3 Mill Street"),
    restaurant("Villa Rosso", "Italian", "centre", "expensive", "555 0125", "18 Market Square"),
    restaurant("Spice Garden", "Indian", "west", "cheap", "555 0131", "7 Canal Road"),
    restaurant("Royal Saffron", "Indian", "centre", "moderate", "555 0144", "25 Market Square"),
    restaurant("Jade Palace", "Chinese", "south", "moderate", "555 0153", "41 Bridge Street"),
    restaurant("Red Lantern", "Chinese", "centre", "cheap", "555 0166", "9 Church Lane"),
    restaurant("Chez Margot", "French", "east", "expensive", "555 0178", "12 Orchard Road"),
    restaurant("Petit Jardin", "French", "south", "expensive", "555 0183", "30 Bridge Street"),
    restaurant("Lotus House", "Thai", "north", "moderate", "555 0197", "16 Mill Street"),
    restaurant("Bamboo Corner", "Thai", "east", "cheap", "555 0206", "5 Harbour Road"),
    restaurant("El Toro", "Spanish", "west", "moderate", "555 0218", "22 Canal Road"),
    restaurant("La Paloma", "Spanish", "south", "cheap", "555 0229", "8 Meadow Lane"),
    restaurant("Old Oak", "British", "north", "expensive", "555 0234", "2 Castle Hill"),
    restaurant("Copper Kettle", "British", "east", "moderate", "555 0247", "14 Orchard Road"),
    restaurant("Blue Mosaic", "Turkish", "west", "expensive", "555 0252", "11 Windmill Lane"),
    restaurant("Star Grill", "Turkish", "centre", "cheap", "555 0265", "6 Church Lane"),
];

const fn hotel(
    name: &'static str,
    area: &'static str,
    price: &'static str,
    stars: usize,
    parking: bool,
    phone: &'static str,
    address: &'static str,
) -> Hotel {
    Hotel { name, area, price, stars, parking, phone, address }
}

/// Two in every area, of different price: area and price name one.
pub(super) const HOTELS: [Hotel; 10] = [
    hotel("Park View Hotel", "north", "moderate", 3, true, "555 0311", "20 Castle Hill"),
    hotel("Maple Lodge", "north", "cheap", 2, true, "555 0324", "4 Mill Street"),
    hotel("Riverside Inn", "south", "cheap", 3, false, "555 0337", "33 Bridge Street"),
    hotel("Abbey House", "south", "expensive", 5, true, "555 0342", "1 Abbey Walk"),
    hotel("Harbour Inn", "east", "moderate", 3, false, "555 0356", "17 Harbour Road"),
    hotel("Swan Lodge", "east", "cheap", 2, true, "555 0363", "10 Orchard Road"),
    hotel("Hilltop Hotel", "west", "expensive", 4, true, "555 0375", "28 Windmill Lane"),
    hotel("Garden Court", "west", "moderate", 3, true, "555 0388", "15 Canal Road"),
    hotel("Crown Hotel", "centre", "expensive", 5, false, "555 0392", "1 Market Square"),
    hotel("Station Lodge", "centre", "cheap", 2, false, "555 0401", "2 Station Road"),
];

/// Where all this is, and where every train begins or ends.
pub(super) const HOME: &str = "Linfield";

pub(super) const TOWNS: [Town; 6] = [
    Town { name: "Ashby", ride: 30 },
    Town { name: "Brookton", ride: 60 },
    Town { name: "Carlow", ride: 30 },
    Town { name: "Denham", ride: 90 },
    Town { name: "Eastport", ride: 60 },
    Town { name: "Fairmoor", ride: 90 },
];

pub(super) const AREAS: [&str; 5] = ["north", "south", "east", "west", "centre"];

pub(super) const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

pub(super) const COLOURS: [&str; 6] = ["black", "white", "red", "blue", "green", "grey"];

pub(super) const CARS: [&str; 5] = ["Skoda", "Toyota", "Ford", "Volvo", "Honda"];

/// `a cheap`, `an expensive`, `a moderately priced`.
pub(super) fn priced(price: &str) -> &'static str {
    PRICES.iter().find(|(name, _)| *name == price).map_or("a", |(_, words)| words[0])
}

/// The words that people have for a price, each with its article; the first is the assistant's own.
pub(super) const PRICES: [(&str, &[&str]); 3] = [
    ("cheap", &["a cheap", "a cheap", "a cheap", "a cheap", "an inexpensive", "an affordable"]),
    ("moderate", &["a moderately priced", "a moderately priced", "a moderately priced", "a mid-priced"]),
    ("expensive", &["an expensive", "an expensive", "an expensive", "a fancy"]),
];
