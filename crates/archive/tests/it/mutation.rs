//! Valid tars with bytes changed at random, always the same: nothing panics, nothing gets out, and what is rebuilt is
//! either the tar that was unpacked or an error.

use crate::builder::{Entry, Tar, directory, file, hard_link, seal, symlink, tar};
use crate::fixture::Fixture;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn seeds() -> Vec<Vec<u8>> {
    vec![
        tar([
            directory("d/"),
            file("d/f", "content"),
            symlink("l", "../outside"),
            hard_link("h", "d/f"),
            file("l/x", "through"),
            file("d/.wh.gone", ""),
            Entry::new(b"pipe", b'6'),
        ]),
        tar([
            file("x", "pax").pax("path", "some/longer/name").pax("mtime", "5.25").pax("size", "3"),
            file("y", "0123456789")
                .pax("GNU.sparse.map", "0,5,20,5")
                .pax("GNU.sparse.numblocks", "2")
                .pax("GNU.sparse.size", "30"),
            file("z", "").pax("SCHILY.xattr.user.key", "value"),
        ]),
        Tar::new()
            .long(&b"long/".repeat(30), directory("x"))
            .long(b"../outside/secret", file("x", "y"))
            .add(symlink("up", "../../outside"))
            .add(file("up/secret", "overwritten"))
            .finish(),
    ]
}

fn mutate(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut tar = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(tar.len());
        match random.below(6) {
            0 => tar[at] = u8::try_from(random.below(256)).unwrap(),
            1 => tar[at] ^= 1 << random.below(8),
            2 => {
                let telling = b"/.01257xgLKS\0\x80\xff,=";
                tar[at] = telling[random.below(telling.len())];
            }
            3 => tar.truncate(at.max(1)),
            4 => {
                // A block in another one's place.
                let (from, to) =
                    (random.below(tar.len() / 512 + 1), random.below(tar.len() / 512 + 1));
                if (from.max(to) + 1) * 512 <= tar.len() {
                    tar.copy_within(from * 512..(from + 1) * 512, to * 512);
                }
            }
            _ => {
                let piece = b"../";
                let end = (at + piece.len()).min(tar.len());
                tar[at..end].copy_from_slice(&piece[..end - at]);
            }
        }
    }
    if random.below(4) > 0 {
        // With right checksums the changes get further.
        for block in tar.chunks_exact_mut(512) {
            if block[257..262] == *b"ustar" {
                seal(block);
            }
        }
    }
    tar
}

#[test]
fn mutated_tars_do_no_harm() {
    let mut random = Random(42);
    let (mut unpacked, mut rebuilt) = (0, 0);
    for seed in seeds() {
        for round in 0..120 {
            let tar = mutate(&seed, &mut random);
            let fixture = Fixture::new();
            let Ok(layer) = fixture.apply(&tar) else { continue };
            unpacked += 1;
            assert_eq!(layer.applied.size, fixture.walked_size(), "round {round}");
            let mut bytes = Vec::new();
            if archive::rebuild(&layer.tar_split[..], &fixture.root(), &mut bytes).is_ok() {
                rebuilt += 1;
                assert!(bytes == tar, "round {round}");
            }
            fixture.assert_confined();
        }
    }
    // The mutations are no use if nearly all of them are refused at once.
    assert!(unpacked > 40 && rebuilt > 35, "{unpacked} unpacked, {rebuilt} rebuilt");
}
