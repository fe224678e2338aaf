//go:build linux

package build

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// What keeps isolated builds from files.
const (
	ownFiles  = "a mount namespace: of the data folder a build sees its own checkout, home and temporary files, of the machine what programs need"
	readOnly  = "read-only mounts: what a build sees beside its own folder it can't change"
	ownTmp    = "a /tmp, /var/tmp and /dev/shm of each build's own"
	ownLinks  = "hard links don't cross mounts; symbolic links lead to what the build sees"
	hiddenFor = "an empty file or folder over the config, the files of its secrets and the data folder where they are below a visible path"
)

var fileAttacks = []attack{
	{name: "token of the API", stop: ownFiles, script: `cat $DATA/api.token`, got: leaks("token")},
	{name: "key of the pages", stop: ownFiles, script: `cat $DATA/pages.key`, got: leaks("pages")},
	{name: "keys of the engine", stop: ownFiles, script: `cat $DATA/engine.keys`, got: leaks("engine-key")},
	{name: "journal", stop: ownFiles, script: `cat $DATA/journal.db*`, got: leaks("journal", "journal-wal")},
	{name: "database of the engine", stop: ownFiles, script: `cat $DATA/engine.db`, got: leaks("engine-db")},
	{name: "config below a visible path", stop: hiddenFor, script: `cat $OUTSIDE/srv/switchyard.yaml`, got: leaks("config")},
	{name: "file of a config's secret", stop: hiddenFor, script: `cat $OUTSIDE/srv/secrets/*`, got: leaks("config-secret")},
	{name: "password file of the service's user", stop: ownFiles, script: `cat $OUTSIDE/home/.netrc`, got: leaks("netrc")},
	{name: "SSH key of the service's user", stop: ownFiles, script: `cat $OUTSIDE/home/.ssh/id_*`, got: leaks("ssh")},
	{name: "AWS credentials of the service's user", stop: ownFiles, script: `cat $OUTSIDE/home/.aws/credentials`, got: leaks("aws")},
	{name: "passwords of the machine", stop: ownFiles, script: `cat /etc/shadow`,
		got: func(s *service, tr *trial) bool {
			return leaks("shadow")(s, tr) || strings.Contains(tr.b.log, "\ngot it\n")
		}},
	{name: "root of the service through /proc", stop: ownProcesses, script: `cat /proc/$SERVICE_PID/root$DATA/api.token`, got: leaks("token")},
	{name: "folder of the service through /proc", stop: ownProcesses, script: `ls /proc/$SERVICE_PID/cwd/`},
	{name: "root of the first process through /proc", stop: ownProcesses, script: `cat /proc/1/root$DATA/api.token`, got: leaks("token")},
	{name: "search of the whole data folder", stop: ownFiles, script: `grep -r canary-$NONCE $DATA`, got: func(s *service, tr *trial) bool {
		return strings.Contains(tr.b.log, "canary-"+s.nonce)
	}},

	{name: "list of all builds", stop: ownFiles, script: `test "$(ls $DATA/builds/work | wc -l)" -gt 1`},
	{name: "checkout of another build", stop: ownFiles, script: `cat $DATA/builds/work/*/src/file`, got: leaks("sibling-checkout")},
	{name: "home of another build", stop: ownFiles, script: `cat $DATA/builds/work/*/home/file`, got: leaks("sibling-home")},
	{name: "temporary files of another build", stop: ownTmp, script: `cat $DATA/builds/work/*/tmp/file`, got: leaks("sibling-tmp")},
	{name: "saved variables of another build", stop: ownFiles, script: `grep -r "" $DATA/builds/work/*/scripts $DATA/builds/work/*/control`,
		got: func(s *service, tr *trial) bool { return strings.Contains(tr.b.log, "canary-"+s.nonce+"-sibling") }},
	{name: "log of another build that runs", stop: ownFiles, script: `cat $DATA/builds/logs/run-sibling/*`, got: leaks("sibling-log")},
	{name: "log of a build that has ended", stop: ownFiles, script: `cat $DATA/builds/logs/run-0/*`, got: leaks("old-log")},
	{name: "artifacts of another build", stop: ownFiles, script: `find $DATA/builds/artifacts/run-0 -type f -exec cat {} +`, got: leaks("artifact")},
	{name: "files in the machine's /tmp", stop: ownTmp, script: `cat /tmp/$NONCE`, got: func(s *service, tr *trial) bool { return leaks(s.nonce)(s, tr) }},
	{name: "code of another repository in its mirror", stop: ownFiles,
		script: `for m in $DATA/builds/mirrors/*; do git --git-dir=$m show main:secret; done`, got: leaks("private")},
	{name: "code of another repository by alternates", stop: ownFiles,
		script: `for m in $DATA/builds/mirrors/*; do echo $m/objects >> .git/objects/info/alternates; done; git cat-file -p $PRIVATE_COMMIT:secret`, got: leaks("private")},

	{name: "replace the API token", stop: ownFiles, script: `echo planted > $DATA/api.token.2 && mv $DATA/api.token.2 $DATA/api.token.1`, got: changes("data/api.token.1")},
	{name: "plant a file in the data folder", stop: ownFiles, script: `mkdir -p $DATA; echo planted > $DATA/planted`, got: changes("data/planted")},
	{name: "take the data folder's lock away", stop: ownFiles, script: `mkdir -p $DATA/builds; echo planted > $DATA/builds/lock.new`, got: changes("data/builds/lock.new")},
	{name: "plant a file in another build's checkout", stop: ownFiles,
		script: `for d in $DATA/builds/work/*/src; do echo x > $d/planted-$NONCE; done`,
		got: func(s *service, _ *trial) bool {
			found, _ := filepath.Glob(filepath.Join(s.siblingDir, "src/planted-*"))
			return len(found) > 0
		}},
	{name: "forge another build's log", stop: ownFiles, script: `echo planted >> $DATA/builds/logs/run-0/forged.log`, got: changes("data/builds/logs/run-0/forged.log")},
	{name: "plant an artifact of another build", stop: ownFiles, script: `echo planted > $DATA/builds/artifacts/run-0/planted`, got: changes("data/builds/artifacts/run-0/planted")},
	{name: "start-up file of the service's user", stop: ownFiles, script: `echo planted >> $OUTSIDE/home/.profile`, got: changes("home/.profile")},
	{name: "write below a visible path", stop: readOnly, script: `echo planted > $OUTSIDE/srv/planted`, got: changes("srv/planted")},
	{name: "replace a visible program", stop: readOnly, script: `echo planted > $OUTSIDE/srv/tool.2 && mv $OUTSIDE/srv/tool.2 $OUTSIDE/srv/other-tool`, got: changes("srv/other-tool")},
	{name: "write to /opt or /usr", stop: readOnly, script: `touch /opt/$NONCE || touch /usr/$NONCE || touch /usr/local/$NONCE`},
	{name: "write to /etc", stop: readOnly, script: `touch /etc/$NONCE && rm /etc/$NONCE`},
	{name: "write to the root folder", stop: readOnly, script: `mkdir /$NONCE && rmdir /$NONCE`},
	{name: "a file in the machine's /tmp", stop: ownTmp, script: `echo planted > /tmp/$NONCE-planted; echo planted > /var/tmp/$NONCE-planted`,
		got: func(s *service, _ *trial) bool {
			path := filepath.Join("/tmp", s.nonce+"-planted")
			_, err := os.Stat(path)
			_ = os.Remove(path)
			return err == nil
		}},
	{name: "link in the machine's /tmp that the service would follow", stop: ownTmp, script: `ln -s $DATA/api.token /tmp/$NONCE-link`,
		got: func(s *service, _ *trial) bool {
			path := filepath.Join("/tmp", s.nonce+"-link")
			_, err := os.Lstat(path)
			_ = os.Remove(path)
			return err == nil
		}},
	{name: "shared memory by a file", stop: ownTmp, script: `echo x > /dev/shm/$NONCE-planted`,
		got: func(s *service, _ *trial) bool {
			path := filepath.Join("/dev/shm", s.nonce+"-planted")
			_, err := os.Stat(path)
			_ = os.Remove(path)
			return err == nil
		}},
	{name: "a new name in /dev", stop: readOnly, script: `echo x > /dev/$NONCE && rm /dev/$NONCE`,
		harmlessTo: func(*service) string {
			if os.Geteuid() != 0 {
				return "only root writes to /dev"
			}
			return ""
		}},
	{name: "watch folders outside for changes", stop: ownFiles, inside: watchOutside},
	{name: "open a file by its handle", stop: "no capabilities: a handle is opened with CAP_DAC_READ_SEARCH over the machine only", inside: openByHandle,
		harmless: "the throwaway machine's root has no such capability over the machine itself"},
}

// watchOutside waits for what the service writes into its data folder.
func watchOutside() error {
	n, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return err
	}
	_, err = unix.InotifyAddWatch(n, filepath.Join(os.Getenv("DATA"), "journal.db"), unix.IN_ALL_EVENTS)
	return err
}

// openByHandle opens what no path leads to from here, by the handle that the
// root folder of most file systems has.
func openByHandle() error {
	mount, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	_, err = unix.OpenByHandleAt(mount, unix.NewFileHandle(1, []byte{2, 0, 0, 0, 0, 0, 0, 0}), unix.O_RDONLY)
	return err
}
