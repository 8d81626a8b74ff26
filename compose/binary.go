package compose

import (
	"archive/tar"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"hash"
	"io"
	"os"

	"github.com/eevans-d/simulacro/drills"
)

// selfExe is this executable, even when its file has been replaced or removed meanwhile.
const selfExe = "/proc/self/exe"

// agentPath is where the binary is in the image.
const agentPath = "simulacro"

// binary is the static simulacro that runs in every place.
type binary struct{ path string }

func newBinary(path string) binary {
	if path == "" {
		path = selfExe
	}
	return binary{path: path}
}

// digests are what the image is named and addressed by.
type digests struct {
	binary    string // sha256 of the file, hex
	layer     string // sha256 of the layer's tar, hex
	layerSize int64
}

// checkStatic refuses a binary that needs a dynamic loader: there is none in an empty image.
func (b binary) checkStatic() error {
	f, err := elf.Open(b.path)
	if err != nil {
		return drills.Wrap(drills.Internal, err, "cannot read the simulacro binary "+b.path, "")
	}
	defer func() { _ = f.Close() }() // only read
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return drills.Errorf(drills.Blocked, "build it with CGO_ENABLED=0", "the simulacro binary %s is not static and cannot run in an empty image", b.path)
		}
	}
	return nil
}

// measure reads the binary once and computes its digests.
func (b binary) measure() (digests, error) {
	var d digests
	file, layer := sha256.New(), sha256.New()
	size := &counter{}
	if err := b.writeLayer(io.MultiWriter(layer, size), file); err != nil {
		return d, err
	}
	return digests{binary: hexSum(file), layer: hexSum(layer), layerSize: size.n}, nil
}

// writeLayer writes the image's only layer, byte for byte the same for the same binary; also sees the bare file.
func (b binary) writeLayer(w io.Writer, also io.Writer) error {
	f, err := os.Open(b.path)
	if err != nil {
		return drills.Wrap(drills.Internal, err, "cannot read the simulacro binary", "")
	}
	defer func() { _ = f.Close() }() // only read
	st, err := f.Stat()
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	if err := tw.WriteHeader(fileHeader(agentPath, 0o755, st.Size())); err != nil {
		return err
	}
	if _, err := io.Copy(tw, io.TeeReader(f, also)); err != nil {
		return err
	}
	return tw.Close()
}

// fileHeader has nothing in it that could differ between two machines.
func fileHeader(name string, mode, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size, Format: tar.FormatUSTAR}
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// counter counts the bytes written to it.
type counter struct{ n int64 }

// Write counts.
func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
