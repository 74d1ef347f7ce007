//! Rates, as the providers' dashboards show them: in percent, rounded half up to one decimal.

/// `part` ÷ `whole` × 100, rounded half up to one decimal; 0.0 of nothing.
pub fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    // In integers: tenths of a percent, half up. Floats would round 0.25 to even.
    let tenths = (u128::from(part) * 2000 + u128::from(whole)) / (u128::from(whole) * 2);
    tenths as f64 / 10.0
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn rounds_half_up_to_one_decimal() {
        assert_eq!(percent(0, 0), 0.0);
        assert_eq!(percent(1, 20), 5.0);
        assert_eq!(percent(1, 3), 33.3);
        assert_eq!(percent(2, 3), 66.7);
        assert_eq!(percent(1, 400), 0.3); // 0.25
        assert_eq!(percent(9, 80), 11.3); // 11.25
    }
}
