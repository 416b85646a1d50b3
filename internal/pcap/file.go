package pcap

import (
	"fmt"
	"io"
	"os"
	"slices"
)

// ReadFile reads a file to its end. The packets are the caller's. With an error
// there are those before it: a file that is being written may be cut short.
func ReadFile(name string) ([]Packet, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var list []Packet
	for {
		p, err := r.Next()
		switch err {
		case nil:
			p.Data = slices.Clone(p.Data)
			list = append(list, p)
		case io.EOF:
			return list, nil
		default:
			return list, fmt.Errorf("%s: %w", name, err)
		}
	}
}
