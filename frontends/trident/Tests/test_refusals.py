"""Each way to fail, with its kind and subkind, and what the disk holds then."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from support.case import Case, setUpModule  # noqa: F401
from support.daemon import m
from support.images import broken, image
from support.paths import DAEMON, WORK


class RefusalTests(Case):
    def refused(self, file, kind, subkind, disk=None):
        """The image is refused with that, and nothing was written."""
        disk = disk or self.disk()
        before = disk.digest()
        outcome = self.daemon(disk=disk).stream(self.serve(file).url)
        self.assert_error(outcome, kind, subkind)
        self.assertEqual(outcome.completed.reboot_status, m.REBOOT_NOT_REQUIRED)
        self.assert_untouched(disk, before)

    def test_what_is_no_image_is_load_cosi(self):
        for fault in ("file-gzip", "file-empty", "json-cut", "metadata-missing", "tar-checksum"):
            with self.subTest(fault):
                self.refused(broken(fault), m.INVALID_INPUT_ERROR, "load-cosi")

    def test_a_missing_entry_is_corrupt_os_image(self):
        self.refused(broken("image-missing"), m.INVALID_INPUT_ERROR, "corrupt-os-image")

    def test_another_architecture_is_mismatched_architecture(self):
        other = image("--size 32M --esp-mib 4 --level 3 --arch aarch64")
        self.refused(other.path, m.INVALID_INPUT_ERROR, "mismatched-architecture")

    def test_a_bad_partition_table_and_an_old_version_are_derive_host_configuration(self):
        for fault in ("header-crc", "entries-crc", "partitions-overlap", "version-1.1"):
            with self.subTest(fault):
                self.refused(broken(fault), m.INVALID_INPUT_ERROR, "derive-host-configuration")

    def test_an_image_too_large_for_the_disk_is_no_suitable_disk(self):
        self.refused(image().path, m.UNSUPPORTED_CONFIGURATION_ERROR, "no-suitable-disk", self.disk(16 << 20))

    def test_a_disk_of_other_blocks_is_no_suitable_disk(self):
        self.refused(image().path, m.UNSUPPORTED_CONFIGURATION_ERROR, "no-suitable-disk", self.disk(sector=4096))

    def test_data_that_do_not_have_their_hash_are_deploy_images_and_leave_no_table(self):
        for fault in ("data-corrupt", "data-checksum"):
            with self.subTest(fault):
                disk = self.disk()
                outcome = self.daemon(disk=disk).stream(self.serve(broken(fault)).url)
                self.assert_error(outcome, m.SERVICING_ERROR, "deploy-images")
                self.assertFalse(disk.has_table())

    def test_a_disk_that_is_not_there_is_no_suitable_disk(self):
        outcome = self.daemon("--disk", "/dev/no-such-disk").stream(self.serve().url)
        self.assert_error(outcome, m.UNSUPPORTED_CONFIGURATION_ERROR, "no-suitable-disk")

    def test_hints_that_no_disk_meets_are_no_suitable_disk(self):
        outcome = self.daemon("--select", "serial=no-such-serial").stream(self.serve().url)
        self.assert_error(outcome, m.UNSUPPORTED_CONFIGURATION_ERROR, "no-suitable-disk")

    def test_without_root_it_is_check_root_privileges(self):
        disk = self.disk()
        before = disk.digest()
        as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        folder = Path(tempfile.mkdtemp(prefix="trident-nobody-"))
        self.addCleanup(shutil.rmtree, folder)
        program = folder / "stream-diskd"
        shutil.copy(DAEMON, program)
        for path in (folder, program):
            path.chmod(0o755)
        os.chown(folder, 65534, 65534)
        daemon = self.daemon(disk=disk, through=as_nobody, socket_path=folder / "d.sock", program=program)
        outcome = daemon.stream(self.serve().url)
        self.assert_error(outcome, m.EXECUTION_ENVIRONMENT_MISCONFIGURATION_ERROR, "check-root-privileges")
        self.assert_untouched(disk, before)

    def test_require_live_root_refuses_a_host_whose_root_is_on_a_disk(self):
        # As this one, whether its kernel command line says so or not; unless it is a container or a live system itself.
        words = Path("/proc/cmdline").read_text().split()
        roots = [word for word in words if word.startswith("root=")]
        kind = subprocess.run(["stat", "--file-system", "--format=%T", "/"], check=True, stdout=subprocess.PIPE, text=True).stdout
        is_mounted_live = kind.strip() in ("tmpfs", "ramfs", "overlayfs", "squashfs", "isofs")
        is_live = roots[-1].startswith(("root=/dev/ram0", "root=live:")) if roots else is_mounted_live
        disk = self.disk()
        before = disk.digest()
        outcome = self.daemon("--require-live-root", disk=disk).stream(self.serve().url)
        if is_live:
            self.assertTrue(outcome.succeeded, outcome.text)
        else:
            self.assert_error(outcome, m.INVALID_INPUT_ERROR, "clean-install-on-provisioned-host")
            self.assert_untouched(disk, before)

    def test_require_live_root_goes_by_the_kernels_command_line(self):
        disk = self.disk()
        before = disk.digest()
        line = WORK / "cmdline"
        daemon = self.daemon("--require-live-root", "--kernel-command-line", line, disk=disk)
        url = self.serve().url
        for text in ("quiet root=/dev/sda2 ro", "root=UUID=1-2", "root=/dev/ram0 root=PARTUUID=x", "root=/dev/ram01",
                     "root=live"):
            line.write_text(text + "\n")
            self.assert_error(daemon.stream(url), m.INVALID_INPUT_ERROR, "clean-install-on-provisioned-host")
        line.unlink()
        self.assert_error(daemon.stream(url), m.INVALID_INPUT_ERROR, "clean-install-on-provisioned-host")
        self.assert_untouched(disk, before)
        for text in ("quiet root=/dev/ram0", "root=live:CDLABEL=installer rd.live.image"):
            line.write_text(text + "\n")
            outcome = daemon.stream(url)
            self.assertTrue(outcome.succeeded, outcome.text)
