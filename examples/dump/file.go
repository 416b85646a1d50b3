package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/gocarp/gocarp/internal/pcap"
)

// open opens the source that opt names.
func open(opt options, stdin io.Reader, log *slog.Logger) (source, error) {
	if opt.iface != "" {
		return capture(opt.iface, log)
	}
	if opt.file == "-" {
		return newFile("standard input", io.NopCloser(stdin))
	}
	f, err := os.Open(opt.file)
	if err != nil {
		return nil, err
	}
	return newFile(opt.file, f)
}

// A file is a source that reads a capture file.
type file struct {
	*pcap.Reader
	io.Closer
	name string
}

func newFile(name string, rc io.ReadCloser) (*file, error) {
	r, err := pcap.NewReader(rc)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), rc.Close())
	}
	return &file{r, rc, name}, nil
}

// Next puts the name of the file on an error.
func (f *file) Next() (pcap.Packet, error) {
	p, err := f.Reader.Next()
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", f.name, err)
	}
	return p, err
}

// A saver writes packets to the file of -w. It does nothing without that.
type saver struct {
	file *os.File
	w    *pcap.Writer // nil until the first packet tells the link type
}

// newSaver creates the file of -w.
func newSaver(name string) (*saver, error) {
	if name == "" {
		return &saver{}, nil
	}
	f, err := os.Create(name)
	return &saver{file: f}, err
}

// Save appends p. A pcap file has one link type for all packets.
func (s *saver) Save(p pcap.Packet) error {
	if s.file == nil {
		return nil
	}
	if err := s.begin(p.LinkType); err != nil {
		return err
	}
	return s.named(s.w.Write(p))
}

// Close writes the head of the file if there was no packet to do it for.
func (s *saver) Close() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.begin(pcap.LinkEthernet), s.file.Close())
}

// begin writes the head of the file once.
func (s *saver) begin(link pcap.LinkType) (err error) {
	if s.w == nil {
		s.w, err = pcap.NewWriter(s.file, link)
	}
	return s.named(err)
}

func (s *saver) named(err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", s.file.Name(), err)
	}
	return nil
}
