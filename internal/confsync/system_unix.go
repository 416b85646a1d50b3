//go:build unix

package confsync

import (
	"io/fs"
	"os"
	"syscall"
)

// setOwner gives f the owner and the group of another file.
func setOwner(f *os.File, like fs.FileInfo) error {
	if s, ok := like.Sys().(*syscall.Stat_t); ok {
		return f.Chown(int(s.Uid), int(s.Gid))
	}
	return nil
}

// syncDir forces the names in a directory to the disk.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
