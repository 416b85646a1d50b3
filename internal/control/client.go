package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"unicode/utf8"
)

// ErrNobody says that no program listens on the socket.
var ErrNobody = errors.New("nobody listens on it: is the program running?")

// Do has the program behind the socket do what args ask for, copies what it says to
// stdout and stderr as it comes, and returns its exit code. It gives up when ctx is
// done.
func Do(ctx context.Context, path string, args []string, stdout, stderr io.Writer) (exit int, err error) {
	exit, err = do(ctx, path, args, stdout, stderr)
	if err != nil {
		return 0, fmt.Errorf("control: socket %s: %w", path, err)
	}
	return exit, nil
}

func do(ctx context.Context, path string, args []string, stdout, stderr io.Writer) (int, error) {
	for i, a := range args {
		if !utf8.ValidString(a) { // JSON has no way to say it
			return 0, fmt.Errorf("word %d is not UTF-8", i+1)
		}
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return 0, ErrNobody
	case errors.Is(err, fs.ErrPermission):
		return 0, os.ErrPermission
	case err != nil:
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(request{Version, args}); err != nil {
		return 0, err
	}
	for dec := json.NewDecoder(conn); ; {
		var a answer
		err := dec.Decode(&a)
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
			return 0, errors.New("the program ended before it had answered")
		case err != nil:
			return 0, fmt.Errorf("answer: %w", err)
		case a.Version != Version:
			return 0, fmt.Errorf("the answer is of version %d, want version %d", a.Version, Version)
		}
		if _, err := io.WriteString(stdout, a.Out); err != nil {
			return 0, err
		}
		if _, err := io.WriteString(stderr, a.Err); err != nil {
			return 0, err
		}
		if a.Exit != nil {
			return *a.Exit, nil
		}
	}
}
