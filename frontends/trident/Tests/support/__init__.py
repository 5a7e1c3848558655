"""What the tests share: images, disks, servers, the daemon, and a client that knows only our .proto files."""
