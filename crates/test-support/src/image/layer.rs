//! Layers: a tar, compressed and hashed while it is written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use bytes::Bytes;
use flate2::write::GzEncoder;
use spec::{Algorithm, DiffId, Hasher, MediaType};

use super::blob::{Blob, Format, Source};
use crate::tar::{Entry, Writer};

/// Compression of a layer's blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip, at the level that builders use.
    #[default]
    Gzip,
    /// Zstandard, at its default level. Only OCI has a registered media type for it.
    Zstd,
}

impl Compression {
    pub(super) fn media_type(self, format: Format) -> MediaType {
        match (self, format) {
            (Compression::None, Format::Docker) => MediaType::DockerLayer,
            (Compression::Gzip, Format::Docker) => MediaType::DockerLayerGzip,
            (Compression::Zstd, Format::Docker) => MediaType::DockerLayerZstd,
            (Compression::None, Format::Oci) => MediaType::OciLayer,
            (Compression::Gzip, Format::Oci) => MediaType::OciLayerGzip,
            (Compression::Zstd, Format::Oci) => MediaType::OciLayerZstd,
        }
    }
}

/// A finished layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The digest of the tar.
    pub diff_id: DiffId,
    /// Number of bytes of the tar.
    pub tar_size: u64,
    /// The compressed tar.
    pub blob: Blob,
    pub(super) compression: Compression,
}

impl Layer {
    /// Makes a layer in memory. Writing to memory does not fail.
    pub fn new(compression: Compression, entries: &[Entry]) -> Layer {
        Layer::in_memory(compression, entries).unwrap_or_else(|error| panic!("{error}"))
    }

    fn in_memory(compression: Compression, entries: &[Entry]) -> io::Result<Layer> {
        let mut writer = LayerWriter::new(Vec::new(), compression)?;
        for entry in entries {
            writer.tar().append(entry)?;
        }
        let (layer, bytes) = writer.finish()?;
        Ok(layer.at(Source::Memory(Bytes::from(bytes))))
    }

    /// Makes a layer in memory of a whole tar.
    pub fn of_tar(compression: Compression, tar: &[u8]) -> io::Result<Layer> {
        let mut writer = LayerWriter::new(Vec::new(), compression)?;
        writer.tar().raw(tar)?;
        let (layer, bytes) = writer.close()?;
        Ok(layer.at(Source::Memory(Bytes::from(bytes))))
    }

    /// Makes a layer in the file `path` from what `write` puts into the tar.
    pub fn in_file(
        path: &Path,
        compression: Compression,
        write: impl FnOnce(&mut Writer<TarSink<BufWriter<File>>>) -> io::Result<()>,
    ) -> io::Result<Layer> {
        let sink = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let mut writer = LayerWriter::new(sink, compression)?;
        write(writer.tar())?;
        let (layer, sink) = writer.finish()?;
        sink.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(layer.at(Source::File(path.to_owned())))
    }

    fn at(mut self, source: Source) -> Layer {
        self.blob.source = source;
        self
    }
}

/// Writes a layer to `W`.
#[derive(Debug)]
pub struct LayerWriter<W: Write> {
    tar: Writer<TarSink<W>>,
    compression: Compression,
}

impl<W: Write> LayerWriter<W> {
    /// Begins a layer.
    pub fn new(sink: W, compression: Compression) -> io::Result<LayerWriter<W>> {
        let sink = Hashing::new(sink);
        let encoder = match compression {
            Compression::None => Encoder::None(sink),
            Compression::Gzip => Encoder::Gzip(GzEncoder::new(sink, flate2::Compression::new(6))),
            Compression::Zstd => Encoder::Zstd(zstd::Encoder::new(sink, 3)?),
        };
        Ok(LayerWriter { tar: Writer::new(TarSink(Hashing::new(encoder))), compression })
    }

    /// Returns the tar, to add entries.
    pub fn tar(&mut self) -> &mut Writer<TarSink<W>> {
        &mut self.tar
    }

    fn finish(mut self) -> io::Result<(Layer, W)> {
        self.tar.end()?;
        self.close()
    }

    fn close(self) -> io::Result<(Layer, W)> {
        let TarSink(tar) = self.tar.into_sink();
        let (diff_id, tar_size) = (tar.hasher.finish(), tar.size);
        let blob = match tar.sink {
            Encoder::None(sink) => sink,
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Zstd(encoder) => encoder.finish()?,
        };
        let layer = Layer {
            diff_id: DiffId::new(diff_id),
            tar_size,
            compression: self.compression,
            blob: Blob {
                media_type: self.compression.media_type(Format::Docker),
                digest: blob.hasher.finish(),
                size: blob.size,
                source: Source::Memory(Bytes::new()),
            },
        };
        Ok((layer, blob.sink))
    }
}

/// The writer of a layer's tar.
#[derive(Debug)]
pub struct TarSink<W: Write>(Hashing<Encoder<W>>);

impl<W: Write> Write for TarSink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

enum Encoder<W: Write> {
    None(Hashing<W>),
    Gzip(GzEncoder<Hashing<W>>),
    Zstd(zstd::Encoder<'static, Hashing<W>>),
}

impl<W: Write> std::fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Encoder::None(_) => "None",
            Encoder::Gzip(_) => "Gzip",
            Encoder::Zstd(_) => "Zstd",
        })
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::None(sink) => sink.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::None(sink) => sink.flush(),
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[derive(Debug)]
struct Hashing<W> {
    sink: W,
    hasher: Hasher,
    size: u64,
}

impl<W> Hashing<W> {
    fn new(sink: W) -> Hashing<W> {
        Hashing { sink, hasher: Hasher::new(Algorithm::Sha256), size: 0 }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use spec::Digest;

    use super::*;

    #[test]
    fn both_digests_are_those_of_the_bytes() {
        let entries = [Entry::directory("a"), Entry::file("a/b", vec![7; 5000])];
        let mut tars = Vec::new();
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let layer = Layer::new(compression, &entries);
            let blob = layer.blob.read().unwrap();
            assert_eq!(layer.blob.digest, Digest::sha256(&blob));
            assert_eq!(layer.blob.size, blob.len() as u64);
            let mut tar = Vec::new();
            match compression {
                Compression::None => tar = blob,
                Compression::Gzip => {
                    flate2::read::GzDecoder::new(&blob[..]).read_to_end(&mut tar).unwrap();
                }
                Compression::Zstd => tar = zstd::decode_all(&blob[..]).unwrap(),
            }
            assert_eq!(*layer.diff_id.digest(), Digest::sha256(&tar), "{compression:?}");
            assert_eq!(layer.tar_size, tar.len() as u64);
            tars.push(tar);
        }
        assert!(tars.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
