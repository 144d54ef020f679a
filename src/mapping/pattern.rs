//! What a regular expression costs, before it is tried.

/// Steps for trying `pattern` on so many bytes of text.
///
/// The engine takes time proportional to both, counted repetitions written out; finding all matches may take it once for each.
pub(super) fn cost(text: usize, pattern: &[u8], finds_all: bool) -> usize {
    let states = states(pattern);
    let once = text.saturating_mul(states) / 4;
    let compiling = states.saturating_mul(4);
    let is_open = pattern.iter().any(|byte| matches!(byte, b'*' | b'+' | b','));
    let again = if finds_all && is_open { (text / 16).saturating_pow(2).saturating_mul(states) / 4 } else { 0 };
    once.saturating_add(compiling).saturating_add(again)
}

/// At least as many as the engine makes of the pattern, about.
fn states(pattern: &[u8]) -> usize {
    let mut open = vec![0_usize];
    let mut last = 0;
    let mut rest = pattern;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let atom = match byte {
            b'(' => {
                open.push(0);
                continue;
            }
            b')' if open.len() > 1 => open.pop().unwrap_or_default() + 2,
            b'{' => {
                let length = rest.iter().position(|&byte| byte == b'}').unwrap_or(rest.len());
                let (counts, after) = rest.split_at(length);
                rest = after;
                let largest =
                    counts.split(|&byte| byte == b',').filter_map(|count| std::str::from_utf8(count).ok()?.trim().parse().ok()).max();
                last * largest.map_or(1, |largest: usize| largest.min(1 << 20))
            }
            b'\\' => {
                rest = rest.get(1..).unwrap_or_default();
                2
            }
            _ => 1,
        };
        last = atom;
        let group = open.last_mut().expect("the outermost is never closed");
        *group = group.saturating_add(atom);
    }
    open.into_iter().fold(1, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_repetitions_are_written_out() {
        assert_eq!(states(b"abc"), 4);
        assert!(states(br"^\d{1,3}\.\d{1,3}$") < 30);
        assert!(states(b"a{1000}") > 1_000);
        assert!(states(b"((a{1000}){1000}){1000}") > 1_000_000_000);
        assert!(states(b"(") + states(b"a{") + states(b"))") + states(br"\") > 0);
    }

    #[test]
    fn ordinary_patterns_are_cheap() {
        assert!(cost(1_000, br"^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$", false) < 15_000);
        assert!(cost(1_000, br"\s+", true) < 10_000);
        assert!(cost(1_000_000, br"a.*z|a", true) > 1_000_000_000);
    }
}
