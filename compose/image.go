package compose

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
	"go.uber.org/zap"
)

// imageRepo is the name of our image; its tag is a prefix of the binary's SHA-256.
const imageRepo = "simulacro-agent"

// labelAgent marks our image with the binary's whole digest.
const labelAgent = "io.simulacro.agent"

// imageCache remembers that the image is there, so that the binary is read once per engine.
type imageCache struct {
	mu  sync.Mutex
	ref string
	sum digests
}

// ensureImage loads the image made from the binary unless the engine has it, and returns its reference.
func (e *Engine) ensureImage(ctx context.Context) (string, error) {
	e.image.mu.Lock()
	defer e.image.mu.Unlock()
	if e.image.ref != "" {
		return e.image.ref, nil
	}
	if e.image.sum.binary == "" {
		if err := e.binary.checkStatic(); err != nil {
			return "", err
		}
		d, err := e.binary.measure()
		if err != nil {
			return "", err
		}
		e.image.sum = d
	}
	ref := imageRef(e.image.sum)
	_, err := e.api.ImageInspect(ctx, ref)
	if errdefs.IsNotFound(err) {
		err = e.loadImage(ctx, ref, e.image.sum)
	}
	if err != nil {
		return "", fmt.Errorf("agent image %s: %w", ref, err)
	}
	e.image.ref = ref
	return ref, nil
}

// forgetImage makes the next ensureImage look again: somebody has removed the image.
func (e *Engine) forgetImage() {
	e.image.mu.Lock()
	defer e.image.mu.Unlock()
	e.image.ref = ""
}

func imageRef(d digests) string { return imageRepo + ":" + d.binary[:12] }

func (e *Engine) loadImage(ctx context.Context, ref string, d digests) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := writeImage(w, ref, d, e.binary)
		_ = w.CloseWithError(err)
		written <- err
	}()
	resp, err := e.api.ImageLoad(ctx, r, client.ImageLoadWithQuiet(true))
	_ = r.Close()
	// The engine may stop reading at the end mark, before the last padding: a closed pipe is then no error.
	if werr := <-written; err == nil && werr != nil && !errors.Is(werr, io.ErrClosedPipe) {
		err = werr
	}
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if _, err := e.api.ImageInspect(ctx, ref); err != nil {
		return fmt.Errorf("load was answered %q: %w", answer, err)
	}
	e.log.Info("agent image loaded", zap.String("image", ref), zap.Int64("bytes", d.layerSize))
	e.removeOldImages(ctx, ref)
	return nil
}

// writeImage writes the image as `docker load` takes it. Same binary, same bytes, same image id.
func writeImage(w io.Writer, ref string, d digests, b binary) error {
	config, err := imageConfig(d)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(config)
	name := hex.EncodeToString(sum[:]) + ".json"
	manifest, err := json.Marshal([]map[string]any{{"Config": name, "RepoTags": []string{ref}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	if err := writeFile(tw, name, config); err != nil {
		return err
	}
	if err := tw.WriteHeader(fileHeader("layer.tar", 0o644, d.layerSize)); err != nil {
		return err
	}
	if err := b.writeLayer(tw, io.Discard); err != nil {
		return fmt.Errorf("binary changed while it was read: %w", err)
	}
	if err := writeFile(tw, "manifest.json", manifest); err != nil {
		return err
	}
	return tw.Close()
}

func imageConfig(d digests) ([]byte, error) {
	return json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/" + agentPath}, "Labels": map[string]string{labelAgent: d.binary}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + d.layer}},
	})
}

func writeFile(tw *tar.Writer, name string, data []byte) error {
	if err := tw.WriteHeader(fileHeader(name, 0o644, int64(len(data)))); err != nil {
		return err
	}
	_, err := tw.Write(data)
	return err
}
