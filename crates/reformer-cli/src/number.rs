//! Numbers for people: thousands apart, bytes in binary units, seconds as a span.

/// `1234567` → `1,234,567`.
pub(crate) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1536` → `1.5 KiB`.
pub(crate) fn bytes(n: usize) -> String {
    let mut size = n as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{n} B") } else { format!("{size:.1} {unit}") }
}

/// `1 thread`, `2 threads`.
pub(crate) fn threads(n: usize) -> String {
    if n == 1 { "1 thread".to_owned() } else { format!("{} threads", count(n)) }
}

/// Seconds as the trainer's log has them.
pub(crate) fn span(seconds: f64) -> String {
    reformer::train::Span(seconds).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn bytes_are_binary_units() {
        assert_eq!([0, 1023, 1536, 5 << 30].map(bytes), ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
    }

    #[test]
    fn spans_grow_coarser() {
        assert_eq!([4.2, 59.0, 65.0, 3725.0].map(span), ["4.2s", "59s", "1m05s", "1h02m"]);
        assert_eq!(span(f64::INFINITY), "?");
    }
}
