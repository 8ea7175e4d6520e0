"""What programs do with images through docker-py, against whichever daemon they are given.

Arguments: the daemon's socket, a registry without a password, one with, and a tar to import.
"""

import sys

import docker
from docker.errors import APIError, ImageNotFound, NotFound

socket, plain, private, archive = sys.argv[1:]
client = docker.DockerClient(base_url=f"unix://{socket}")
api = client.api
images = client.images

# The system.
assert client.ping() is True
version = client.version()
assert version["ApiVersion"] and version["Components"][0]["Name"] == "Engine", version
assert client.info()["OSType"] == "linux"
assert [client.containers.list(all=True), client.volumes.list()] == [[], []]
assert images.list() == []

# Pull: by tag, by digest, all tags, for another platform; progress as it comes.
busybox = images.pull("busybox", tag="latest")
assert busybox.tags == ["busybox:latest"], busybox.tags
assert busybox.short_id == busybox.id[:19]
(digest,) = busybox.attrs["RepoDigests"]
assert images.pull(digest).id == busybox.id
hello = images.pull("hello-world", all_tags=True)
tags = sorted(tag for image in hello for tag in image.tags)
assert tags == [f"hello-world:{tag}" for tag in ("amd64", "arm64", "frozen", "latest", "linux")], tags
arm = images.pull("alpine", tag="3.3", platform="linux/arm64")
assert arm.attrs["Architecture"] == "arm64"
lines = list(api.pull("nginx", tag="latest", stream=True, decode=True))
assert lines[0] == {"status": "Pulling from library/nginx", "id": "latest"}, lines[0]
assert lines[-1] == {"status": "Status: Downloaded newer image for nginx:latest"}, lines[-1]


def refused(kind, call, *arguments, **options):
    """Insists on an error and returns what the daemon said."""
    try:
        call(*arguments, **options)
    except kind as error:
        return error.explanation
    raise AssertionError(f"{call} succeeded")


refused(NotFound, images.pull, "busybox", tag="nosuchtag")
refused(ImageNotFound, images.get, "nosuch")
refused(APIError, images.pull, f"{private}/x/y", tag="1")

# List and inspect.
assert {image.id for image in images.list("hello-world")} == {image.id for image in hello}
assert images.list(filters={"reference": "busy*"}) == [busybox]
assert images.list(filters={"dangling": True}) == []
assert images.list(filters={"label": "nosuch"}) == []
assert len(images.list(all=True)) == len(images.list()) == 5
assert images.get(busybox.id) == images.get(busybox.short_id) == busybox
assert busybox.attrs["Config"]["Cmd"] == ["sh"]
history = busybox.history()
assert history[0]["Id"] == busybox.id and history[0]["Tags"] == ["busybox:latest"], history
assert history[-1]["Size"] == busybox.attrs["Size"], history

# What a registry has, without a pull.
data = images.get_registry_data("busybox")
assert data.id == digest.split("@")[1], data.id
assert data.has_platform("linux/ppc64le") and not data.has_platform("linux/s390x")
assert data.pull(platform="linux/amd64").id == busybox.id
refused(NotFound, images.get_registry_data, f"{plain}/nosuch:1")
assert images.search("busybox", limit=3)[0]["is_official"] is True

# Tag, log in, push, pull back.
assert busybox.tag(f"{plain}/py/bb", tag="1") is True
pushed = list(images.push(f"{plain}/py/bb", tag="1", stream=True, decode=True))
assert not [line for line in pushed if "error" in line], pushed
# What is said of an index is an aux of its own, as of dockerd 29 with the containerd store.
(result,) = [line["aux"] for line in pushed if "Digest" in line.get("aux", {})]
assert result["Tag"] == "1" and result["Digest"].startswith("sha256:"), result
wrong = refused(APIError, client.login, "tester", password="wrong", registry=private)
assert "unauthorized" in wrong.lower(), wrong
assert client.login("tester", password="s3cret", registry=private)["Status"] == "Login Succeeded"
busybox.tag(f"{private}/py/bb", tag="1")
auth = {"username": "tester", "password": "s3cret"}
pushed = list(images.push(f"{private}/py/bb", tag="1", stream=True, decode=True, auth_config=auth))
assert not [line for line in pushed if "error" in line], pushed
images.remove(f"{private}/py/bb:1")
assert images.pull(f"{private}/py/bb", tag="1", auth_config=auth) == busybox
images.remove(f"{private}/py/bb:1")
images.remove(f"{plain}/py/bb:1")

# Save and load: the exact words matter to docker-py, which looks for them.
saved = b"".join(busybox.save(named=True))
images.remove("busybox:latest", force=True)
refused(ImageNotFound, images.get, "busybox")
(loaded,) = images.load(saved)
assert loaded == busybox and loaded.tags == ["busybox:latest"], loaded.tags
nameless = b"".join(arm.save())
images.remove("alpine:3.3")
(loaded,) = images.load(nameless)
assert loaded.id == arm.id and loaded.tags == [], loaded.tags

# Import, from a file and from bytes, with changes.
api.import_image_from_file(archive, repository="imported", tag="file", changes=["CMD [\"/hi\"]"])
imported = images.get("imported:file")
assert imported.attrs["Config"]["Cmd"] == ["/hi"], imported.attrs
with open(archive, "rb") as file:
    api.import_image_from_data(file.read(), repository="imported", tag="data")
assert images.get("imported:data").tags == ["imported:data"]

# Disk space, and what is in nobody's use.
usage = client.df()
assert usage["LayersSize"] > 0 and len(usage["Images"]) == 7, usage
images.remove("imported:file")
refused(ImageNotFound, images.remove, "imported:file")
dangling = images.get("imported:data")
with open(archive, "rb") as file:
    api.import_image_from_data(file.read() + b"\0" * 10240, repository="imported", tag="data")
unnamed = {image.id for image in images.list(filters={"dangling": True})}
assert unnamed == {dangling.id, arm.id}, unnamed
pruned = images.prune(filters={"dangling": True})
assert {"Deleted": dangling.id} in pruned["ImagesDeleted"], pruned
everything = images.prune(filters={"dangling": False})
assert everything["SpaceReclaimed"] > 0, everything
assert images.list() == []

# Events: of the past, and as they happen.
past = list(client.events(since=1, until=2, decode=True))
assert past == [], past
live = client.events(decode=True, filters={"type": "image"})
images.pull("alpine", tag="3.10")
event = next(live)
assert (event["Action"], event["Actor"]["ID"]) == ("pull", "alpine:3.10"), event
live.close()
print("docker-py", docker.__version__, "is content")
