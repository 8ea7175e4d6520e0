//! A manifest or index with other descriptors: all that is not asked for stays as it is, in its order.

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use spec::{Descriptor, Manifest};

type Result<T> = std::result::Result<T, serde_json::Error>;

/// An object whose fields are not looked into, in the order in which they are written.
#[derive(Debug)]
pub(crate) struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Object {
    /// Finds a field as Go does.
    fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(field, _)| field.eq_ignore_ascii_case(name))
    }

    fn set<T: Serialize>(&mut self, name: &str, value: &T) -> Result<()> {
        let value = to_raw_value(value)?;
        match self.find(name) {
            Some(at) => self.0[at].1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) {
        if let Some(at) = self.find(name) {
            self.0.remove(at);
        }
    }

    /// Describes other bytes.
    fn describe(&mut self, old: &Descriptor, new: &Descriptor) -> Result<()> {
        if old.media_type != new.media_type {
            self.set("mediaType", &new.media_type)?;
        }
        if old.digest != new.digest {
            self.set("digest", &new.digest)?;
            self.set("size", &new.size)?;
            // The bytes themselves, which some descriptors have.
            self.remove("data");
        }
        if old.annotations != new.annotations {
            self.set("annotations", &new.annotations)?;
        }
        Ok(())
    }

    /// Describes the members of a list anew. What is nothing in it goes.
    fn describe_each(&mut self, name: &str, old: &[Descriptor], new: &[Descriptor]) -> Result<()> {
        let Some(at) = self.find(name) else { return Ok(()) };
        let listed: Option<Vec<Option<Object>>> = serde_json::from_str(self.0[at].1.get())?;
        let mut listed: Vec<Object> = listed.into_iter().flatten().flatten().collect();
        for ((object, old), new) in listed.iter_mut().zip(old).zip(new) {
            object.describe(old, new)?;
        }
        self.set(name, &listed)
    }
}

/// Writes `new` into the bytes of `old`.
pub(crate) fn rewrite(bytes: &[u8], old: &Manifest, new: &Manifest) -> Result<Vec<u8>> {
    let mut document: Object = serde_json::from_slice(bytes)?;
    if old.media_type() != new.media_type() {
        document.set("mediaType", new.media_type())?;
    }
    match (old, new) {
        (Manifest::Image(old), Manifest::Image(new)) => {
            if let Some(at) = document.find("config") {
                let mut config: Object = serde_json::from_str(document.0[at].1.get())?;
                config.describe(&old.config, &new.config)?;
                document.set("config", &config)?;
            }
            document.describe_each("layers", &old.layers, &new.layers)?;
        }
        (Manifest::Index(old), Manifest::Index(new)) => {
            document.describe_each("manifests", &old.manifests, &new.manifests)?;
        }
        // Nobody makes the one of the other, and the caller compares.
        _ => {}
    }
    serde_json::to_vec(&document)
}

#[cfg(test)]
mod tests {
    use spec::{Digest, MediaType};

    use super::*;

    #[test]
    fn what_is_not_asked_for_stays() {
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        let text = format!(
            r#"{{"schemaVersion":2,"x":{{"z": 1,"a":0.10}},"config":{{"digest":"{a}","mediaType":"c","size":1,"y":[1, 2]}},
            "Layers":[{{"mediaType":"l","size":3,"digest":"{a}","data":"YQ==","annotations":{{"k":"v"}}}}],"annotations":{{"b":"1"}}}}"#
        );
        let old = Manifest::parse(None, text.as_bytes()).unwrap();
        let Manifest::Image(mut image) = old.clone() else { panic!() };
        image.media_type = MediaType::DockerManifest;
        image.layers[0].digest = b.clone();
        image.layers[0].size = 7;
        let new = Manifest::Image(image);
        let written = rewrite(text.as_bytes(), &old, &new).unwrap();
        let expected = format!(
            r#"{{"schemaVersion":2,"x":{{"z": 1,"a":0.10}},"config":{{"digest":"{a}","mediaType":"c","size":1,"y":[1, 2]}},"Layers":[{{"mediaType":"l","size":7,"digest":"{b}","annotations":{{"k":"v"}}}}],"annotations":{{"b":"1"}},"mediaType":"application/vnd.docker.distribution.manifest.v2+json"}}"#
        );
        assert_eq!(String::from_utf8(written.clone()).unwrap(), expected);
        assert_eq!(Manifest::parse(None, &written).unwrap(), new);
    }
}
