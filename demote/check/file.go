package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// maxNote is how much of a drain file or of a command's output goes into the
// reason of a failure.
const maxNote = 200

// WhileExists returns a Probe that fails while there is a file at path: a
// drain file, which anybody can touch to make the host give way. A file that
// begins with a number, 1 or more, demotes by it; else Config.By counts. What
// the file says is the reason.
//
// It also fails if it cannot find out.
func WhileExists(path string) Probe {
	return func(context.Context) error {
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !info.Mode().IsRegular(): // a pipe would block, a device may do anything
			return fmt.Errorf("%s exists", path)
		}
		return drain(path)
	}
}

// WhileMissing returns a Probe that fails while there is no file at path, or
// while it cannot find out.
func WhileMissing(path string) Probe {
	return func(context.Context) error {
		_, err := os.Stat(path)
		return err
	}
}

// drain returns the failure that the drain file at path asks for.
func drain(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxNote))
	if err != nil {
		return err
	}
	failure := &Failure{Reason: path + " exists"}
	if words := strings.Fields(string(text)); len(words) > 0 {
		failure.Reason += ": " + strings.Join(words, " ")
		if n, err := strconv.ParseInt(words[0], 10, 32); err == nil {
			failure.By = int(n)
		}
	}
	return failure
}
