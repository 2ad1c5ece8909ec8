"""How large each architecture is by its paper, counted by hand or published: never from our own code."""

# Trainable parameters at width 64 and GMACs at 256 x 256 x 1 (1 MAC = 2 FLOP), and where they come from; a whole number
# of parameters is met exactly, all else within 1 %.
REFERENCE = {
    # counted by hand from the paper's description
    "unet": (31_036_481, 48.1),
    "resunet": (32.45e6, 50.8),
    "r2unet": (35.6e6, 135.3),
    # U-Net and, a level of F channels, F * F weights of two projections to F / 2: 4096 * 85 = 348,160, and as many
    # multiply-accumulates a pixel: 4 * 4096 * 65,536 = 1.07e9
    "attention_unet": (31.40e6, 49.2),
    # the same gates on R2U-Net
    "attention_r2unet": (35.6e6 + 348_160, 135.3 + 1.07),
    # Zhou et al. 2018, table 3: 9.04 M at width 32, four times that at 64
    "unetpp": (4 * 9.04e6, 119),
    # Huang et al. 2020 by count, without deep supervision: 26.97 M. Work: U-Net's encoder 16.95e9, and at level l
    # 65,536 / 4^l * 9 * (64 * (2048, 1856, 1792, 1984)[l] + 320 * 320)
    "unet3plus": (26.97e6, 197.4),
    # segmentation_models.pytorch has 26.68 M (by count of its layers) with the same encoder and three colours, of which
    # 2 * 49 * 64 are for two of them. By hand: ResNet-50 23,501,760 and 8.004e9 (last stage at a sixteenth), pyramid
    # and decoder the rest
    "deeplabv3plus": (26.68e6 - 2 * 49 * 64, 9.04),
    # Laibacher et al. 2019: 0.55 M; 0.5498 M by count of its layers, of which 2 * 9 * 32 are for two more colours. Work
    # summed by hand from MobileNetV2's table 2 and the decoder's channels
    "m2unet": (0.5498e6 - 576, 0.304),
    # Galdran et al. 2022 and its code, by hand: a U-Net of C colours has 80 C + 33,961 (8, 16, 32 channels), so with
    # three colours and a fourth of logits both have 68,482 (quoted: 68 k). Here - 320 for two colours in each and
    # - 368 for biases before a normalisation. Work: (80 C + 7,496) a pixel, C = 1 and 2
    "lwnet": (68_482 - 320 - 368, (240 + 2 * 7_496) * 65_536 / 1e9),
    # The published weights for 150 classes have 3,752,694 (nvidia/segformer-b0-finetuned-ade-512-512), of which
    # 149 * 257 are for more classes, 2 * 49 * 32 for two more colours, 2 * (32 + 64 + 160 + 256) keys' biases. Work
    # summed by hand from table 6; the same sum for 150 classes, three colours and 512 x 512 gives 8.39 (paper: 8.4)
    "segformer_b0": (3_752_694 - 149 * 257 - 2 * 49 * 32 - 1024, 1.733),
    # torchvision publishes 3,504,872 parameters of MobileNetV2: its classifier has 1281 * 1000, two more colours 2 * 9
    # * 32. Decoder by hand: 9 * F * (joined + F) and 4 F of BatchNormalization a level, 17 in the head. Work summed by
    # hand from table 2 and the decoder; the same sum for the classifier at 224 x 224 gives the paper's 300e6
    "mobilenetv2_unet": (3_504_872 - 1_281_000 - 576 + 4_404_945, 3.327),
    # UNet++ and three more heads of 64 weights and a bias, each on every pixel
    "unetpp_deep": (4 * 9.04e6 + 3 * 65, 119 + 3 * 64 * 65_536 / 1e9),
    # By hand from Cao et al. 2021 and Swin-T, 15^2 distances a head: blocks of C channels 12 C^2 + 13 C + 225 C / 32,
    # two at C = 96, 192, 384 on each side and two at 768; patches 19 C; merging C to 2 C 8 C^2 + 8 C; expanding C and
    # joining C + C 2 C^2 + C; the last expansion 16 C^2 + 2 C; norms 2 * 768 + 2 * 96; head 97. With three colours,
    # nine classes and 13^2 distances the same sum is the 27.17 M that is quoted. Work: of a block's token 12 C^2 +
    # 128 C, so for 64^2 to 8^2 tokens 3.813e9 down, 2.894e9 up; patches and head 0.013e9; merging, expanding, joining
    # 9 * 0.0755e9; the last expansion 0.604e9
    "swin_unet": (27_172_453, 8.0027),
    # Chen et al. 2021 and its code: 105.28 M with three colours, nine classes, 14^2 places and a 3 x 3 head, which
    # is, by hand, ResNet 11,894,848, projection and places 937,728, 12 * 7,087,872 + 1,536 of the transformer,
    # decoder 7,387,200, head 1,305. Here - 2 * 49 * 64 + 60 * 768 - 1,305 + 17.
    # Work: ResNet 5.034e9; projection 0.201e9; twelve times 256
    # tokens of 12 * 768^2 + 2 * 256 * 768, 22.951e9; decoder 10.117e9; head 0.001e9
    "transunet": (105_315_601, 38.304),
}

# The same in a word, for the table; `counted` is by hand from the paper's layers.
SOURCE = {
    "unet": "Ronneberger 2015, counted",
    "resunet": "Zhang 2018 and successors, counted",
    "r2unet": "Alom 2018, counted",
    "attention_unet": "Oktay 2018, counted",
    "attention_r2unet": "Oktay's gates on Alom's network, counted",
    "unetpp": "Zhou 2018, table 3, times 4",
    "unet3plus": "Huang 2020, counted",
    "deeplabv3plus": "segmentation_models.pytorch, one colour",
    "m2unet": "Laibacher 2019, one colour",
    "lwnet": "Galdran 2022, one colour, fewer biases",
    "segformer_b0": "nvidia/segformer-b0, one class and colour",
    "mobilenetv2_unet": "torchvision's MobileNetV2, decoder counted",
    "unetpp_deep": "Zhou 2018, table 3, times 4, three heads more",
    "swin_unet": "Cao 2021, 27.17 M, one class and colour",
    "transunet": "Chen 2021, 105.28 M, one class and colour",
}
