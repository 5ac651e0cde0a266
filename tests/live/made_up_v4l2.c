/* A USB camera that is made up: FFmpeg's own reader of Video4Linux, with answers of ours in the kernel's place (LD_PRELOAD).
 * MADE_UP_CAMERA names the device, MADE_UP_STATE a file whose first letter says how it is: w works, b in use by another program,
 * s silent, g unplugged. Pictures are YUYV of 320 x 240, 30 a second; all of picture n is as bright as 40 + 6 * (n % 30). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 320, HEIGHT = 240, BYTES = WIDTH * HEIGHT * 2, ROOM = 155648, MOST = 4 };
static int camera = -1, waiting[MOST], count;
static unsigned shown;
static unsigned char *memory;

static char state(void) {
    const char *path = getenv("MADE_UP_STATE");
    FILE *file = path ? fopen(path, "r") : NULL;
    int letter = file ? fgetc(file) : 'w';
    if (file) fclose(file);
    return (char)letter;
}

static int opened(const char *name, const char *path, int flags, mode_t mode) {
    const char *ours = getenv("MADE_UP_CAMERA");
    if (!ours || strcmp(path, ours)) {
        int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
        return real(path, flags, mode);
    }
    if (state() == 'g') {
        errno = ENOENT;
        return -1;
    }
    camera = memfd_create("camera", MFD_CLOEXEC);
    if (camera < 0 || ftruncate(camera, MOST * ROOM)) return -1;
    memory = mmap(NULL, MOST * ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, camera, 0);
    return camera;
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return opened("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return opened("open64", path, flags, mode);
}

static int no(int why) {
    errno = why;
    return -1;
}

static void describe(struct v4l2_format *format) {
    format->fmt.pix = (struct v4l2_pix_format){.width = WIDTH, .height = HEIGHT, .pixelformat = V4L2_PIX_FMT_YUYV,
        .field = V4L2_FIELD_NONE, .bytesperline = WIDTH * 2, .sizeimage = BYTES};
}

static int next_picture(struct v4l2_buffer *buffer) {
    struct timespec pause = {0, 33333333};
    nanosleep(&pause, NULL);
    while (state() == 's') nanosleep(&pause, NULL);
    if (state() == 'g') return no(ENODEV);
    if (!count) return no(EIO);
    unsigned index = waiting[0];
    memmove(waiting, waiting + 1, --count * sizeof *waiting);
    unsigned char *pixel = memory + index * ROOM;
    for (int at = 0; at < BYTES; at += 2) {
        pixel[at] = 40 + 6 * (shown % 30);
        pixel[at + 1] = 128;
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    buffer->index = index;
    buffer->bytesused = BYTES;
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->timestamp.tv_sec = now.tv_sec;
    buffer->timestamp.tv_usec = now.tv_nsec / 1000;
    buffer->sequence = shown++;
    return 0;
}

int ioctl(int file, unsigned long request, ...) {
    va_list more;
    va_start(more, request);
    void *asked = va_arg(more, void *);
    va_end(more);
    if (file != camera || file < 0) {
        int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
        return real(file, request, asked);
    }
    switch ((unsigned)request) {
    case VIDIOC_QUERYCAP:
        memset(asked, 0, sizeof(struct v4l2_capability));
        ((struct v4l2_capability *)asked)->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    case VIDIOC_G_INPUT:
        *(int *)asked = 0;
        return 0;
    case VIDIOC_S_INPUT:
        return 0;
    case VIDIOC_ENUMINPUT:
        memset(asked, 0, sizeof(struct v4l2_input));
        return 0;
    case VIDIOC_G_FMT:
        describe(asked);
        return 0;
    case VIDIOC_S_FMT:
        if (state() == 'b') return no(EBUSY);
        describe(asked);
        return 0;
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM:
        ((struct v4l2_streamparm *)asked)->parm.capture.timeperframe = (struct v4l2_fract){1, 30};
        return 0;
    case VIDIOC_REQBUFS:
        ((struct v4l2_requestbuffers *)asked)->count = MOST;
        return 0;
    case VIDIOC_QUERYBUF:
        ((struct v4l2_buffer *)asked)->length = ROOM;
        ((struct v4l2_buffer *)asked)->m.offset = ((struct v4l2_buffer *)asked)->index * ROOM;
        return 0;
    case VIDIOC_QBUF:
        waiting[count++] = ((struct v4l2_buffer *)asked)->index;
        return 0;
    case VIDIOC_STREAMON:
        return 0;
    case VIDIOC_STREAMOFF:
        count = 0;
        return 0;
    case VIDIOC_DQBUF:
        return next_picture(asked);
    default:
        return no(ENOTTY);
    }
}
