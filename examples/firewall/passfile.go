package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gocarp/gocarp/internal/cli"
	"github.com/gocarp/gocarp/internal/ifconfig"
)

// readPassFiles makes each "passfile FILE" in changes a "pass" with what is in the
// file: its only line. FILE is relative to dir, and only its owner may read it.
func readPassFiles(dir string, changes []ifconfig.Change) error {
	for i, c := range changes {
		if c.Op != ifconfig.PassFile {
			continue
		}
		path := c.Name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		secret, err := readPassFile(path)
		if err != nil {
			return &ifconfig.Error{Pos: c.Pos, Word: c.Name, Msg: fmt.Sprintf("expected a file with the passphrase: %v", err)}
		}
		changes[i] = ifconfig.Change{Pos: c.Pos, Op: ifconfig.Pass, Pass: ifconfig.Password(secret)}
	}
	return nil
}

func readPassFile(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case info.Mode()&0o066 != 0:
		return "", fmt.Errorf("%s: others than its owner may read or write it: chmod 600", path)
	}
	return cli.ReadSecret(path)
}
