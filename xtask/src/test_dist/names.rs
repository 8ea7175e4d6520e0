//! A name server that knows one name.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

/// The name that it knows, with the address 127.0.0.1.
pub(super) const NAME: &str = "registry.corp";

/// Serves at the address, for as long as this process runs.
pub(super) fn serve(address: Ipv4Addr) -> io::Result<()> {
    let socket = UdpSocket::bind((address, 53))?;
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((size, from)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = answer(&buffer[..size]) {
                // A client that is gone asks no more.
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    Ok(())
}

/// The answer to a question (RFC 1035): for A of the name its address, for other types none, for other names that there
/// is no such name.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let size = usize::from(*question.get(at)?);
        at += 1;
        if size == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + size)?).to_lowercase());
        at += size;
    }
    let kind = question.get(at..at + 2)?;
    let asked = question.get(12..at + 4)?;
    let is_known = labels.join(".") == NAME;
    let has_address = is_known && kind == [0, 1];
    let mut answer = question.get(..2)?.to_vec();
    answer.extend([0x81, if is_known { 0x80 } else { 0x83 }]);
    answer.extend([0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
    answer.extend_from_slice(asked);
    if has_address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_has_an_address() {
        let question = |name: &str, kind| {
            let mut bytes = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            for label in name.split('.') {
                bytes.push(u8::try_from(label.len()).unwrap());
                bytes.extend_from_slice(label.as_bytes());
            }
            bytes.extend([0, 0, kind, 0, 1]);
            bytes
        };
        let found = answer(&question("Registry.corp", 1)).unwrap();
        assert_eq!((found[3] & 15, &found[found.len() - 4..]), (0, &[127, 0, 0, 1][..]));
        assert_eq!(answer(&question(NAME, 28)).unwrap()[6..8], [0, 0]);
        assert_eq!(answer(&question("other", 1)).unwrap()[3] & 15, 3);
        assert_eq!(answer(&[0; 12]), None);
    }
}
