"""Pictures of two megapixels that are decoded, turned, made smaller and encoded."""

import io

from PIL import Image, ImageFilter

encoded = io.BytesIO()
Image.effect_mandelbrot((1600, 1200), (-2, -1.5, 1, 1.5), 30).convert("RGB").save(encoded, "JPEG", quality=85)
total = 0
for _ in range(20):
    picture = Image.open(io.BytesIO(encoded.getvalue()))
    picture.load()
    small = picture.rotate(7).resize((800, 600)).filter(ImageFilter.GaussianBlur(1))
    written = io.BytesIO()
    small.save(written, "PNG", compress_level=1)
    total += len(written.getvalue())
print(total)
