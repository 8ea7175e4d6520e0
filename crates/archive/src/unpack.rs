//! A layer from its compressed bytes to its directory, in one pass and on two threads.
//!
//! # Flow
//! The second thread reads the source, hashes it, decompresses it and hashes the tar; the caller's thread parses the tar
//! and writes files and tar-split ([`relay`]). A layer that fits into one read of the source is not worth a thread and is done on
//! the caller's.

use std::io::{Read, Write};
use std::path::Path;
use std::thread::{Builder, scope};

use crate::apply::{Extractor, unsupported};
use crate::codec::decoder;
use crate::options::{Applied, ApplyOptions, StreamOptions, Unpacked};
use crate::path::split;
use crate::relay::relay;
use crate::source::{Decoded, Inline, Input, Tally};
use crate::split::SplitWriter;
use crate::tar::{Chunks, Header, Kind};
use crate::walk::{Content, Visitor, WHITEOUT_PREFIX, walk};
use crate::{ArchiveError, Compression};

/// Unpacks a compressed layer into the directory `root`, which must exist, and writes its tar-split, gzipped.
///
/// `progress` is called with the number of compressed bytes read so far, on another thread. The source is read to its
/// end; to cancel, let it return an error. After an error `root` holds a part of the layer.
pub fn unpack<R: Read + Send, W: Write>(
    compressed: R,
    root: &Path,
    tar_split: W,
    stream: &StreamOptions,
    options: &ApplyOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Unpacked, ArchiveError> {
    let mut extractor = Extractor::open(root, options)?;
    let input = Input::new(compressed, stream.digest, progress);
    let split = SplitWriter::new(tar_split);
    let mut unpacked = run(input, stream, options.max_tar_size, split, &mut extractor)?;
    unpacked.applied.size = extractor.finish()?;
    Ok(unpacked)
}

/// Unpacks a layer as [`unpack`] does, into a directory that may hold others already, and without a tar-split.
pub fn extract<R: Read + Send>(
    compressed: R,
    root: &Path,
    stream: &StreamOptions,
    options: &ApplyOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Unpacked, ArchiveError> {
    let mut extractor = Extractor::open(root, options)?;
    let input = Input::new(compressed, stream.digest, progress);
    let split = SplitWriter::disabled();
    let mut unpacked = run(input, stream, options.max_tar_size, split, &mut extractor)?;
    unpacked.applied.size = extractor.finish()?;
    Ok(unpacked)
}

/// Reads a compressed layer as [`unpack`] does and returns the same, but writes no files.
pub fn inspect_compressed<R: Read + Send>(
    compressed: R,
    stream: &StreamOptions,
    max_tar_size: Option<u64>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Unpacked, ArchiveError> {
    let mut sizes = Sizes::default();
    let input = Input::new(compressed, stream.digest, progress);
    let mut unpacked = run(input, stream, max_tar_size, SplitWriter::disabled(), &mut sizes)?;
    unpacked.applied.size = sizes.0;
    Ok(unpacked)
}

/// Unpacks an uncompressed tar into the directory `root`, which must exist, and writes its tar-split, gzipped.
pub fn apply<R: Read + Send, W: Write>(
    tar: R,
    root: &Path,
    tar_split: W,
    options: &ApplyOptions,
) -> Result<Applied, ArchiveError> {
    let stream = StreamOptions { compression: Some(Compression::None), digest: None };
    Ok(unpack(tar, root, tar_split, &stream, options, &|_| {})?.applied)
}

/// Reads an uncompressed tar and returns what [`apply`] would, but writes no files.
///
/// The tar-split, if it is wanted, is what [`apply`] writes.
pub fn inspect<R: Read + Send, W: Write>(
    tar: R,
    tar_split: Option<W>,
) -> Result<Applied, ArchiveError> {
    let stream = StreamOptions { compression: Some(Compression::None), digest: None };
    let mut sizes = Sizes::default();
    let input = Input::new(tar, None, &|_| {});
    let mut applied = match tar_split {
        Some(sink) => run(input, &stream, None, SplitWriter::new(sink), &mut sizes)?.applied,
        None => run(input, &stream, None, SplitWriter::disabled(), &mut sizes)?.applied,
    };
    applied.size = sizes.0;
    Ok(applied)
}

/// Runs the pipeline. The size is left to the caller, who knows the visitor.
fn run<R: Read + Send, W: Write>(
    mut input: Input<'_, R>,
    stream: &StreamOptions,
    limit: Option<u64>,
    split: SplitWriter<W>,
    visitor: &mut impl Visitor,
) -> Result<Unpacked, ArchiveError> {
    let is_whole = input.prefill()?;
    let compression = stream.compression.unwrap_or_else(|| Compression::detect(input.buffered()));
    let tally = Tally::new(limit);
    let result = if is_whole {
        run_inline(&mut input, compression, tally, split, visitor)
    } else {
        run_threaded(&mut input, compression, tally, split, visitor)
    };
    let (entries, tally) = result.map_err(|error| input.classify(error))?;
    let (diff_id, tar_size) = tally.finish();
    let (digest, compressed_size) = input.finish();
    let applied = Applied { diff_id, size: 0, tar_size, entries };
    Ok(Unpacked { digest, compressed_size, compression, applied })
}

fn run_inline<R: Read + Send, W: Write>(
    input: &mut Input<'_, R>,
    compression: Compression,
    tally: Tally,
    split: SplitWriter<W>,
    visitor: &mut impl Visitor,
) -> Result<(u64, Tally), ArchiveError> {
    let mut inline = Inline::new(Decoded::new(decoder(compression, input)?, compression, tally));
    let entries = walk(&mut inline, split, visitor)?;
    Ok((entries, inline.decoded.tally))
}

fn run_threaded<R: Read + Send, W: Write>(
    input: &mut Input<'_, R>,
    compression: Compression,
    tally: Tally,
    split: SplitWriter<W>,
    visitor: &mut impl Visitor,
) -> Result<(u64, Tally), ArchiveError> {
    let mut decoded = Decoded::new(decoder(compression, input)?, compression, tally);
    let (sending, received) = relay();
    scope(|scope| {
        let producer = Builder::new()
            .name("decompress".to_owned())
            .spawn_scoped(scope, move || {
                sending.run(|buffer| decoded.fill(buffer));
                decoded.tally
            })
            .map_err(ArchiveError::Read)?;
        let entries = walk(received, split, visitor);
        // The channels are closed now, so the producer ends in any case.
        let tally = producer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        entries.map(|entries| (entries, tally))
    })
}

/// Adds up what the files of a tar would take, without unpacking them.
#[derive(Debug, Default)]
struct Sizes(u64);

impl Visitor for Sizes {
    fn entry<C: Chunks, W: Write>(
        &mut self,
        path: &[u8],
        header: &Header,
        _: &mut Content<'_, C, W>,
    ) -> Result<(), ArchiveError> {
        if path.is_empty() || split(path).1.starts_with(WHITEOUT_PREFIX) {
            return Ok(());
        }
        let size = match header.kind {
            Kind::Regular => u64::try_from(header.size).unwrap_or(0),
            Kind::Symlink => header.link.len() as u64,
            Kind::Other(_) => return Err(unsupported(header, header.kind)),
            _ => 0,
        };
        self.0 = self.0.saturating_add(size);
        Ok(())
    }
}
