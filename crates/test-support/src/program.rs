//! A program for containers, so small that it is written by hand.

/// Returns a static Linux program that prints `text` and ends well, for x86-64; `None` on other machines.
pub fn printing(text: &str) -> Option<Vec<u8>> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return None;
    }
    let length = u32::try_from(text.len()).ok()?.to_le_bytes();
    let mut code = vec![0xb8, 1, 0, 0, 0]; // mov eax, 1: write
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1: to standard output
    code.extend([0x48, 0x8d, 0x35, 0x10, 0, 0, 0]); // lea rsi, [rip+16]: what follows the code
    code.push(0xba); // mov edx, length
    code.extend(length);
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xb8, 60, 0, 0, 0]); // mov eax, 60: exit
    code.extend([0x31, 0xff, 0x0f, 0x05]); // xor edi, edi; syscall
    code.extend(text.bytes());
    let size = HEADERS + code.len() as u64;

    let mut program = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |value: u16| value.to_le_bytes();
    program.extend([half(2), half(0x3e)].concat()); // executable, x86-64
    program.extend(1_u32.to_le_bytes());
    program.extend((BASE + HEADERS).to_le_bytes()); // where it starts
    program.extend(64_u64.to_le_bytes()); // the program header follows this one
    program.extend([0; 8 + 4]); // no sections, no flags
    program.extend([64, 56, 1, 0, 0, 0].map(half).concat());

    program.extend(1_u32.to_le_bytes()); // to be loaded
    program.extend(5_u32.to_le_bytes()); // to be read and run
    for value in [0, BASE, BASE, size, size, 0x1000] {
        program.extend(value.to_le_bytes());
    }
    program.extend(code);
    Some(program)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn it_runs() {
        let Some(program) = super::printing("hello\n") else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello");
        fs::write(&path, program).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let output = Command::new(path).output().unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, b"hello\n");
    }
}
