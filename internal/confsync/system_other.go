//go:build !unix

package confsync

import (
	"io/fs"
	"os"
)

func setOwner(*os.File, fs.FileInfo) error { return nil }

// syncDir does nothing: directories cannot be forced to the disk here.
func syncDir(string) error { return nil }
