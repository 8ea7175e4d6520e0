//! Circles of files: the strongly connected components of the arrows, and what closes each.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::Graph;

/// Files each of which leads to each other.
#[derive(Debug)]
pub(super) struct Circle {
    pub(super) files: Vec<usize>,
    /// Arrows without which the rest is no circle.
    pub(super) closing: Vec<(usize, usize)>,
}

type Arrows = BTreeMap<usize, BTreeSet<usize>>;

/// Finds the circles. `one` maps files that count as one to the first of them.
pub(super) fn find(graph: &Graph, one: &BTreeMap<usize, usize>) -> Vec<Circle> {
    let whole = |file: usize| *one.get(&file).unwrap_or(&file);
    let mut arrows = Arrows::new();
    for &(from, to) in graph.arrows.keys() {
        if whole(from) != whole(to) {
            arrows.entry(whole(from)).or_default().insert(whole(to));
        }
    }
    let circles = components(&arrows).into_iter().filter(|files| files.len() > 1);
    let closing = |files: &BTreeSet<usize>| {
        let backward = backward(&order(&arrows, files), &arrows);
        let closes = |(from, to): &&(usize, usize)| backward.contains(&(whole(*from), whole(*to)));
        graph.arrows.keys().filter(closes).copied().collect()
    };
    circles
        .map(|files| Circle { closing: closing(&files), files: files.into_iter().collect() })
        .collect()
}

/// Strongly connected components: the files that a file reaches, and that reach it.
fn components(arrows: &Arrows) -> Vec<BTreeSet<usize>> {
    let mut reversed = Arrows::new();
    for (&from, targets) in arrows {
        for &to in targets {
            reversed.entry(to).or_default().insert(from);
        }
    }
    let mut left: BTreeSet<usize> = arrows.keys().copied().collect();
    let mut found = Vec::new();
    while let Some(&file) = left.first() {
        let before = reached(file, &reversed);
        let mut component: BTreeSet<usize> =
            reached(file, arrows).intersection(&before).copied().collect();
        component.insert(file);
        left.retain(|file| !component.contains(file));
        found.push(component);
    }
    found
}

fn reached(from: usize, arrows: &Arrows) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        for &to in arrows.get(&file).into_iter().flatten() {
            if reached.insert(to) {
                next.push(to);
            }
        }
    }
    reached
}

/// An order of the files with few arrows that lead back (Eades, Lin and Smyth's heuristic): from the ends inwards, and
/// where there is no end, first the file that has the most arrows to others beyond those from others.
fn order(arrows: &Arrows, files: &BTreeSet<usize>) -> Vec<usize> {
    let mut left = files.clone();
    let (mut first, mut last) = (Vec::new(), Vec::new());
    while !left.is_empty() {
        let leading = |file: usize| {
            let targets = arrows.get(&file).into_iter().flatten();
            targets.filter(|to| left.contains(to)).count()
        };
        let arriving = |file: usize| left.iter().filter(|from| has(arrows, **from, file)).count();
        let sink = left.iter().copied().find(|&file| leading(file) == 0);
        let source = || left.iter().copied().find(|&file| arriving(file) == 0);
        if let Some(file) = sink {
            last.push(file);
            left.remove(&file);
        } else if let Some(file) = source().or_else(|| {
            let beyond = |file: usize| leading(file).cast_signed() - arriving(file).cast_signed();
            left.iter().copied().max_by_key(|&file| beyond(file))
        }) {
            first.push(file);
            left.remove(&file);
        }
    }
    first.extend(last.into_iter().rev());
    first
}

fn has(arrows: &Arrows, from: usize, to: usize) -> bool {
    arrows.get(&from).is_some_and(|targets| targets.contains(&to))
}

fn backward(order: &[usize], arrows: &Arrows) -> BTreeSet<(usize, usize)> {
    let mut backward = BTreeSet::new();
    for (at, &from) in order.iter().enumerate() {
        let earlier = order[..at].iter().filter(|to| has(arrows, from, **to));
        backward.extend(earlier.map(|&to| (from, to)));
    }
    backward
}

#[cfg(test)]
mod tests {
    use super::super::modules::Place;
    use super::*;

    fn graph(arrows: &[(usize, usize)]) -> Graph {
        let place = || Place { line: 1, path: String::new() };
        Graph { files: Vec::new(), arrows: arrows.iter().map(|&arrow| (arrow, place())).collect() }
    }

    #[test]
    fn a_circle_and_what_closes_it() {
        let graph = graph(&[(0, 1), (1, 2), (2, 3), (3, 1), (0, 4), (4, 5), (5, 4)]);
        let circles = find(&graph, &BTreeMap::new());
        let files: Vec<&[usize]> = circles.iter().map(|circle| circle.files.as_slice()).collect();
        assert_eq!(files, [&[1, 2, 3][..], &[4, 5]]);
        assert!(circles.iter().all(|circle| circle.closing.len() == 1), "{circles:?}");
    }

    #[test]
    fn no_circle() {
        assert!(find(&graph(&[(0, 1), (0, 2), (1, 3), (2, 3)]), &BTreeMap::new()).is_empty());
    }

    #[test]
    fn files_that_count_as_one() {
        let graph = graph(&[(0, 1), (1, 0), (1, 2), (2, 0)]);
        assert_eq!(find(&graph, &BTreeMap::from([(0, 0), (1, 0)]))[0].files, [0, 2]);
        assert!(find(&graph, &BTreeMap::from([(0, 0), (1, 0), (2, 0)])).is_empty());
    }
}
